package tlsctx_test

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

func exactly(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

// A dialled is what a handshake of a Client with a server of crypto/tls came to.
type dialled struct {
	conn      netio.Conn
	state     *tlsctx.State
	err       error
	server    *tls.Conn
	serverErr error
	saw       tls.ConnectionState
}

func dial(t testing.TB, c *side, server *tls.Config, h *tlsctx.Target) *dialled {
	t.Helper()
	sock, raw := sockets(t)
	d := &dialled{server: tls.Server(raw, server)}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		if d.serverErr = d.server.Handshake(); d.serverErr == nil {
			_, d.serverErr = d.server.Write([]byte("!"))
		}
		_ = raw.SetDeadline(time.Time{})
		d.saw = d.server.ConnectionState()
		if d.serverErr != nil {
			raw.Close()
		}
	})
	d.conn, d.state, d.err = c.Client.Handshake(sock, time.Now().Add(10*time.Second), h)
	if d.err != nil {
		sock.Close()
	} else {
		var b [1]byte
		if _, err := d.conn.Read(b[:]); err != nil {
			d.err = err
		}
	}
	wg.Wait()
	t.Cleanup(func() { d.server.Close() })
	return d
}

func TestUpstreamVerification(t *testing.T) {
	ca, other := secrettest.CA(t, "ca"), secrettest.CA(t, "other")
	good := ca.Issue(t, "good", secrettest.DNS("a.example", "*.wild.example"))
	stranger := other.Issue(t, "stranger", secrettest.DNS("a.example"))
	type ctx = tlsv3.CertificateValidationContext
	dns := func(s string) *ctx {
		return &ctx{TrustedCa: inline(ca.Cert()), MatchTypedSubjectAltNames: sanMatcher(tlsv3.SubjectAltNameMatcher_DNS, s)}
	}
	for _, c := range []struct {
		name   string
		v      *ctx
		cfg    tlsctx.ClientConfig
		target tlsctx.Target
		server *secrettest.Pair
		sni    string
		fails  string
	}{
		{"trusted", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "a.example"}, tlsctx.Target{}, good, "a.example", ""},
		{"stranger", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "a.example"}, tlsctx.Target{}, stranger, "a.example", "fail_verify_error"},
		{"nothing is verified", nil, tlsctx.ClientConfig{}, tlsctx.Target{}, stranger, "", ""},
		{"name", dns("a.example"), tlsctx.ClientConfig{}, tlsctx.Target{}, good, "", ""},
		{"wildcard name", dns("b.wild.example"), tlsctx.ClientConfig{}, tlsctx.Target{}, good, "", ""},
		{"wrong name", dns("b.example"), tlsctx.ClientConfig{}, tlsctx.Target{}, good, "", "fail_verify_san"},
		{"host name", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "x", AutoHostSNI: true}, tlsctx.Target{Hostname: "h.example"}, good, "h.example", ""},
		{"no host name", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "x", AutoHostSNI: true}, tlsctx.Target{}, good, "x", ""},
		{"of the request", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "x", AutoHostSNI: true}, tlsctx.Target{Hostname: "h", SNI: "r.example"}, good, "r.example", ""},
		{"an address is no name", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "127.0.0.1"}, tlsctx.Target{}, good, "", ""},
		{"name that was sent", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "a.example", AutoSANs: true}, tlsctx.Target{}, good, "a.example", ""},
		{"wrong name that was sent", &ctx{TrustedCa: inline(ca.Cert())}, tlsctx.ClientConfig{SNI: "b.example", AutoSANs: true}, tlsctx.Target{}, good, "b.example", "fail_verify_san"},
		{"replaces the configured", dns("b.example"), tlsctx.ClientConfig{SNI: "a.example", AutoSANs: true}, tlsctx.Target{}, good, "a.example", ""},
		{"of the request, checked", dns("a.example"), tlsctx.ClientConfig{}, tlsctx.Target{SNI: "a.example", SANs: []secret.SANMatcher{secret.ExactDNS("a.example")}}, good, "a.example", ""},
		{"of the request, and wrong", dns("a.example"), tlsctx.ClientConfig{}, tlsctx.Target{SANs: []secret.SANMatcher{secret.ExactHost("127.0.0.1")}}, good, "", "fail_verify_san"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := c.cfg
			if c.v != nil {
				r := ref(validation(t, c.v))
				cfg.Validation = &r
			}
			cl := newClient(t, &cfg, nil)
			d := dial(t, cl, &tls.Config{Certificates: []tls.Certificate{keyPair(c.server)}}, &c.target)
			if (d.err != nil) != (c.fails != "") {
				t.Fatal(d.err, d.serverErr)
			}
			if c.fails != "" {
				cl.counted(t, c.fails, 1)
				cl.counted(t, "connection_error", 1)
				var v *tlsctx.VerifyError
				if !errors.As(d.err, &v) {
					t.Errorf("%v is no VerifyError", d.err)
				}
				return
			}
			if d.saw.ServerName != c.sni {
				t.Errorf("sent %q, want %q", d.saw.ServerName, c.sni)
			}
			if d.state.Version != "TLSv1.3" || d.state.Peer == nil || d.state.Peer.Subject == "" {
				t.Errorf("%+v", d.state)
			}
			cl.counted(t, "handshake", 1)
		})
	}
}

func TestUpstreamClientCertificate(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	me := ca.Issue(t, "me", secrettest.URI("spiffe://me"))
	cl := newClient(t, &tlsctx.ClientConfig{Common: tlsctx.Common{Certificates: refs(t, me)}}, nil)
	server := &tls.Config{Certificates: []tls.Certificate{keyPair(ca.Issue(t, "server"))}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(ca)}
	d := dial(t, cl, server, &tlsctx.Target{})
	if d.err != nil || len(d.saw.PeerCertificates) != 1 || d.saw.PeerCertificates[0].Subject.CommonName != "me" {
		t.Fatal(d.err, d.serverErr)
	}
	if d.state.Local == nil || d.state.Local.URIs[0] != "spiffe://me" {
		t.Errorf("%+v", d.state)
	}
}

func TestUpstreamALPN(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	server := &tls.Config{Certificates: []tls.Certificate{keyPair(ca.Issue(t, "server"))}, NextProtos: []string{"h2", "http/1.1", "x"}}
	for _, c := range []struct {
		name       string
		configured []string
		target     tlsctx.Target
		want       string
	}{
		{"none", nil, tlsctx.Target{}, ""},
		{"fallback", nil, tlsctx.Target{Fallback: []string{"http/1.1"}}, "http/1.1"},
		{"configured before fallback", []string{"x"}, tlsctx.Target{Fallback: []string{"http/1.1"}}, "x"},
		{"override", []string{"x"}, tlsctx.Target{ALPN: []string{"h2", "http/1.1"}}, "h2"},
	} {
		cl := newClient(t, &tlsctx.ClientConfig{Common: tlsctx.Common{ALPN: c.configured}}, nil)
		d := dial(t, cl, server, &c.target)
		if d.err != nil || d.state.ALPN != c.want {
			t.Errorf("%s: %v %+v", c.name, d.err, d.state)
		}
	}
}

func TestUpstreamResumption(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	server := &tls.Config{Certificates: []tls.Certificate{keyPair(ca.Issue(t, "server"))}}
	v := ref(trust(t, ca))
	for _, off := range []bool{false, true} {
		cl := newClient(t, &tlsctx.ClientConfig{NoResume: off, Common: tlsctx.Common{Validation: &v}}, nil)
		for i, c := range []struct {
			host string
			want bool
		}{{"1", false}, {"1", true}, {"2", false}, {"1", true}, {"2", true}} {
			d := dial(t, cl, server, &tlsctx.Target{Address: c.host})
			if d.err != nil {
				t.Fatal(d.err)
			}
			if d.state.Resumed != (c.want && !off) {
				t.Errorf("off %v, %d: resumed %v", off, i, d.state.Resumed)
			}
			if d.state.Peer == nil {
				t.Error("no peer certificate")
			}
		}
	}
}

func TestUpstreamSecretChanges(t *testing.T) {
	ca, ca2 := secrettest.CA(t, "ca"), secrettest.CA(t, "ca2")
	live := secret.NewLive(nil)
	cl := newClient(t, &tlsctx.ClientConfig{Common: tlsctx.Common{Validation: &tlsctx.Ref{Key: "v"}}}, func(*tlsctx.Ref) *secret.Live { return live })
	server := &tls.Config{Certificates: []tls.Certificate{keyPair(ca.Issue(t, "server"))}}
	if d := dial(t, cl, server, &tlsctx.Target{}); d.err == nil {
		t.Error("connected without knowing whom to trust")
	}
	live.Store(trust(t, ca))
	if d := dial(t, cl, server, &tlsctx.Target{}); d.err != nil {
		t.Error(d.err)
	}
	live.Store(trust(t, ca2))
	if d := dial(t, cl, server, &tlsctx.Target{}); d.err == nil {
		t.Error("still trusts who is not trusted any more")
	}
}

func TestQuiet(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := &tls.Config{Certificates: []tls.Certificate{keyPair(ca.Issue(t, "server"))}, MaxVersion: version}
		cl := newClient(t, &tlsctx.ClientConfig{}, nil)
		quiet := func(d *dialled) bool { return d.conn.(interface{ Quiet() bool }).Quiet() }

		d := dial(t, cl, server, &tlsctx.Target{})
		if !quiet(d) {
			t.Errorf("%x: a connection on which nothing came is not quiet", version)
		}
		// Quiet has read nothing that was for others.
		go func() { _, _ = d.server.Write([]byte("answer")) }()
		if got := readAll(t, d.conn, 6); got != "answer" {
			t.Errorf("%q", got)
		}
		_, _ = d.server.Write([]byte("unasked"))
		if !eventually(func() bool { return !quiet(d) }) {
			t.Errorf("%x: a connection that spoke unasked is quiet", version)
		}

		d = dial(t, cl, server, &tlsctx.Target{})
		d.server.Close()
		if !eventually(func() bool { return !quiet(d) }) {
			t.Errorf("%x: a connection that left is quiet", version)
		}
	}
}

// eventually tells whether f holds within some seconds.
func eventually(f func() bool) bool {
	for deadline := time.Now().Add(5 * time.Second); !f(); {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func TestCloseNotify(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	cl := newClient(t, &tlsctx.ClientConfig{}, nil)
	d := dial(t, cl, &tls.Config{Certificates: []tls.Certificate{keyPair(ca.Issue(t, "server"))}}, &tlsctx.Target{})
	if err := d.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(d.server); err != nil {
		t.Error(err)
	}
	if err := d.conn.Reset(); err != nil {
		t.Error(err)
	}
	if _, err := d.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after reset: %v", err)
	}
}
