package tls

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// The ends of certificates are shown by name, and those of a secret that was replaced by another are not shown any more.
func TestShow(t *testing.T) {
	store := stats.NewStore()
	scope := store.Scope("listener", "in")
	tally := tlsctx.NewTally(scope, true)
	until := func(sec int64, raw string) *x509.Certificate {
		return &x509.Certificate{NotAfter: time.Unix(sec, 0), Raw: []byte(raw)}
	}
	f := func(name string, want int64, there bool) {
		t.Helper()
		if v, ok := store.Value("listener.in." + name); v != want || ok != there {
			t.Errorf("%s is %d, %v, want %d, %v", name, v, ok, want, there)
		}
	}
	var gone []func()
	w := func(l *secret.Live, changed func(*secret.Secret), over func(), _ <-chan struct{}) {
		if s := l.Load(); s != nil {
			changed(s)
		}
		l.Watch(changed)
		gone = append(gone, over)
	}
	const end = ".expiration_unix_time_seconds"
	named := secret.NewLive(nil)
	show(&tlsctx.Ref{Key: "a.example from /x", Name: "a.example"}, named, scope.Scope("ssl"), tally.Factory.BySDS, w, nil)
	f("ssl.certificate.a.example"+end, 0, false)
	named.Store(&secret.Secret{Certificate: &secret.Certificate{Leaf: until(100, "x")}})
	named.Store(&secret.Secret{Certificate: &secret.Certificate{Leaf: until(200, "y")}})
	f("ssl.certificate.a.example"+end, 200, true)
	f("server_ssl_socket_factory.ssl_context_update_by_sds", 2, true)

	inline := &secret.Secret{Validation: &secret.Validation{Roots: []*x509.Certificate{until(500, "r"), until(300, "s"), until(400, "t")}}}
	live := secret.NewLive(inline)
	show(&tlsctx.Ref{Inline: inline}, live, scope.Scope("ssl"), tally.Factory.BySDS, w, nil)
	f("ssl.certificate.unnamed_ca_cert_043a7187"+end, 300, true)
	live.Store(&secret.Secret{Validation: &secret.Validation{Roots: []*x509.Certificate{until(600, "u")}}})
	f("ssl.certificate.unnamed_ca_cert_043a7187"+end, 0, false)
	f("ssl.certificate.unnamed_ca_cert_0bfe935e"+end, 600, true)
	f("server_ssl_socket_factory.ssl_context_update_by_sds", 2, true)

	// What stands in files keeps its name when these change.
	at := secret.Sources{Files: []string{"/c.pem"}}
	filed := &secret.Secret{Sources: at, Certificate: &secret.Certificate{Leaf: until(700, "v")}}
	file := secret.NewLive(filed)
	show(&tlsctx.Ref{Inline: filed}, file, scope.Scope("ssl"), tally.Factory.BySDS, w, nil)
	n := name(&tlsctx.Ref{Inline: filed}, filed, "unnamed_cert_", filed.Certificate.Leaf)
	f("ssl.certificate."+n+end, 700, true)
	file.Store(&secret.Secret{Sources: at, Certificate: &secret.Certificate{Leaf: until(800, "w")}})
	f("ssl.certificate."+n+end, 800, true)
	for _, over := range gone {
		over()
	}
	f("ssl.certificate.a.example"+end, 0, false)
	f("ssl.certificate."+n+end, 0, false)
}
