package proxy

import (
	"crypto/x509"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/stats"
)

func TestFirstExpiry(t *testing.T) {
	at := func(sec int64) *x509.Certificate { return &x509.Certificate{NotAfter: time.Unix(sec, 0)} }
	p := &Proxy{secrets: newSecrets(zap.NewNop(), stats.NewStore().Scope(""))}
	if got := p.FirstExpiry(); !got.IsZero() {
		t.Errorf("without certificates: %v", got)
	}
	p.secrets.find("empty")
	p.secrets.find("named").Store(&secret.Secret{Certificate: &secret.Certificate{Leaf: at(900)}})
	want := func(sec int64) {
		t.Helper()
		if got := p.FirstExpiry(); !got.Equal(time.Unix(sec, 0)) {
			t.Errorf("%v, want %v", got, time.Unix(sec, 0))
		}
	}
	want(900)
	p.secrets.find("roots").Store(&secret.Secret{Validation: &secret.Validation{Roots: []*x509.Certificate{at(1000), at(800)}}})
	want(800)
	done := make(chan struct{})
	p.secrets.keep(&secret.Secret{Certificate: &secret.Certificate{Leaf: at(700)}}, nil, done)
	want(700)
	close(done)
	want(800)
}
