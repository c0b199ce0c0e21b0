package tlsctx_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

func TestResumption(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	keys := func(b ...string) *secret.Secret {
		p := &tlsv3.TlsSessionTicketKeys{}
		for _, k := range b {
			p.Keys = append(p.Keys, inline(strings.Repeat(k, 80)))
		}
		return decode(t, &tlsv3.Secret{Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: p}})
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		crt := refs(t, ca.Issue(t, "a"))
		offer := func() *tls.Config {
			return offering("a", func(c *tls.Config) { c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(1) })
		}
		twice := func(name string, a, b *side, want bool) {
			t.Helper()
			cfg := offer()
			first, second := shake(t, a, cfg), shake(t, b, cfg)
			if first.clientErr != nil || second.clientErr != nil {
				t.Fatal(name, first.clientErr, second.clientErr)
			}
			if second.info.TLSResumed != want || second.state.DidResume != want {
				t.Errorf("%s %x: resumed %v, want %v", name, version, second.info.TLSResumed, want)
			}
			if second.info.LocalCertificate == nil {
				t.Errorf("%s: no local certificate", name)
			}
		}
		s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: crt}}, nil)
		twice("own keys", s, s, true)
		s.counted(t, "session_reused", 1)
		off := newServer(t, &tlsctx.ServerConfig{NoTickets: true, Common: tlsctx.Common{Certificates: crt}}, nil)
		twice("tickets off", off, off, false)
		with := func(k *secret.Secret, timeout time.Duration) *side {
			r := ref(k)
			return newServer(t, &tlsctx.ServerConfig{TicketKeys: &r, SessionTimeout: timeout, Common: tlsctx.Common{Certificates: crt}}, nil)
		}
		twice("another process with our keys", with(keys("a"), 0), with(keys("b", "a"), 0), true)
		twice("other keys", with(keys("a"), 0), with(keys("b"), 0), false)
		twice("in time", with(keys("a"), time.Hour), with(keys("a"), time.Hour), true)
		twice("too late", with(keys("a"), time.Hour), with(keys("a"), time.Nanosecond), false)
		own := newServer(t, &tlsctx.ServerConfig{SessionTimeout: time.Hour, Common: tlsctx.Common{Certificates: crt}}, nil)
		twice("own keys, in time", own, own, true)

		live := secret.NewLive(keys("a"))
		rotating := newServer(t, &tlsctx.ServerConfig{TicketKeys: &tlsctx.Ref{Key: "tickets"}, Common: tlsctx.Common{Certificates: crt}},
			func(r *tlsctx.Ref) *secret.Live {
				if r.Key != "" {
					return live
				}
				return secret.NewLive(r.Inline)
			})
		cfg := offer()
		shake(t, rotating, cfg)
		live.Store(keys("b", "a"))
		if r := shake(t, rotating, cfg); !r.info.TLSResumed {
			t.Error("rotation: the second key does not decrypt")
		}
		live.Store(keys("c"))
		if r := shake(t, rotating, offer()); r.info.TLSResumed {
			t.Error("rotation: resumed with a key that is gone")
		}
	}
}

// TestResumedClientsAreJudgedAgain: a ticket is no pass for who has been revoked since.
func TestResumedClientsAreJudgedAgain(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	client := ca.Issue(t, "client")
	trusted := trust(t, ca)
	live := secret.NewLive(trusted)
	s := newServer(t, &tlsctx.ServerConfig{RequireCertificate: true, Common: tlsctx.Common{
		Certificates: refs(t, ca.Issue(t, "a")), Validation: &tlsctx.Ref{Key: "v"},
	}}, func(r *tlsctx.Ref) *secret.Live {
		if r.Key == "v" {
			return live
		}
		return secret.NewLive(r.Inline)
	})
	cfg := offering("a", func(c *tls.Config) {
		c.Certificates = []tls.Certificate{keyPair(client)}
		c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	})
	shake(t, s, cfg)
	if r := shake(t, s, cfg); !r.info.TLSResumed || !r.info.PeerValidated || r.info.PeerCertificate == nil {
		t.Fatalf("%+v %v", r.info, r.serverErr)
	}
	live.Store(validation(t, &tlsv3.CertificateValidationContext{TrustedCa: inline(ca.Cert()), Crl: inline(ca.CRL(t, client))}))
	if r := shake(t, s, cfg); r.serverErr == nil {
		t.Error("a revoked client resumed its session")
	}
	s.counted(t, "fail_verify_error", 1)
}
