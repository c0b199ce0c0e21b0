package tlsctx_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

func TestHandshakeTellsWhatItCameTo(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.Intermediate(t, "sub").Issue(t, "a.example", secrettest.DNS("a.example"), secrettest.URI("spiffe://a/b"))
	s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(t, leaf), ALPN: []string{"h2", "http/1.1"}}}, nil)
	r := shake(t, s, &tls.Config{ServerName: "a.example", RootCAs: pool(ca), NextProtos: []string{"http/1.1"}})
	if r.serverErr != nil || r.clientErr != nil {
		t.Fatal(r.serverErr, r.clientErr)
	}
	i := &r.info
	if i.TLSVersion != "TLSv1.3" || !strings.HasPrefix(i.TLSCipher, "TLS_") || i.NegotiatedALPN != "http/1.1" || i.TLSResumed || i.PeerCertificate != nil || i.PeerValidated {
		t.Errorf("%+v", i)
	}
	l := i.LocalCertificate
	sum := sha256.Sum256(leaf.Leaf.Raw)
	if l == nil || l.Subject != "CN=a.example,O=Weir" || l.Issuer != "CN=sub,O=Weir" || l.SHA256 != hex.EncodeToString(sum[:]) || len(l.Chain) != 2 ||
		len(l.URIs) != 1 || l.URIs[0] != "spiffe://a/b" || l.DNSNames[0] != "a.example" {
		t.Errorf("%+v", l)
	}
	for n, v := range map[string]int64{
		"handshake": 1, "connection_error": 0, "no_certificate": 1, "session_reused": 0, "versions.TLSv1.3": 1,
		"ciphers." + i.TLSCipher: 1, "curves.X25519MLKEM768": 1, "ocsp_staple_requests": 1, "ocsp_staple_omitted": 1,
	} {
		s.counted(t, n, v)
	}
}

func TestVersionsCiphersCurves(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	rsa := ca.IssueRSA(t, "a")
	for _, c := range []struct {
		name   string
		params tlsctx.Params
		client func(*tls.Config)
		want   string // "" fails
	}{
		{"TLS 1.2", tlsctx.Params{Max: tls.VersionTLS12}, nil, "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256"},
		{"only 1.3", tlsctx.Params{Min: tls.VersionTLS13}, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ""},
		{"1.1 is refused", tlsctx.Params{}, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, ""},
		{"one cipher", tlsctx.Params{Max: tls.VersionTLS12, Ciphers: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}}, nil, "TLSv1.2 ECDHE-RSA-CHACHA20-POLY1305"},
		{
			"no common cipher",
			tlsctx.Params{Max: tls.VersionTLS12, Ciphers: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}},
			func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} }, "",
		},
		{
			"RSA key exchange when asked for",
			tlsctx.Params{Max: tls.VersionTLS12, Ciphers: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
			func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256} }, "TLSv1.2 AES128-GCM-SHA256",
		},
		{"a curve", tlsctx.Params{Curves: []tls.CurveID{tls.CurveP384}}, nil, "TLSv1.3 "},
		{"no common curve", tlsctx.Params{Curves: []tls.CurveID{tls.CurveP384}}, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(t, rsa), Params: c.params}}, nil)
			cfg := offering("a")
			if c.client != nil {
				c.client(cfg)
			}
			r := shake(t, s, cfg)
			got := ""
			if r.serverErr == nil && r.clientErr == nil {
				got = r.info.TLSVersion + " " + r.info.TLSCipher
			}
			if !strings.HasPrefix(got, c.want) || got != "" && c.want == "" {
				t.Errorf("%q (%v, %v), want %q", got, r.serverErr, r.clientErr, c.want)
			}
			if c.want == "" {
				s.counted(t, "connection_error", 1)
				if r.info.TLSFailure == "" {
					t.Error("no failure reason")
				}
			}
		})
	}
}

func TestCertificateByName(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	first := ca.Issue(t, "first.example", secrettest.DNS("first.example"))
	wild := ca.Issue(t, "wild", secrettest.DNS("*.wild.example"))
	exact := ca.Issue(t, "exact", secrettest.DNS("a.wild.example"))
	cn := ca.Issue(t, "by-cn.example")
	both, bothRSA := ca.Issue(t, "both", secrettest.DNS("both.example")), ca.IssueRSA(t, "both-rsa", secrettest.DNS("both.example"))
	lastRSA := ca.IssueRSA(t, "last-rsa", secrettest.DNS("last.example"))
	all := refs(t, first, wild, exact, cn, bothRSA, both, lastRSA)
	onlyRSA := func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	for _, c := range []struct {
		name, sni string
		scan      bool
		client    func(*tls.Config)
		want      string
	}{
		{"exact", "first.example", false, nil, "first.example"},
		{"letter case", "FIRST.Example", false, nil, "first.example"},
		{"wildcard", "b.wild.example", false, nil, "wild"},
		{"exact before wildcard", "a.wild.example", false, nil, "exact"},
		{"wildcard is one label", "a.b.wild.example", false, nil, "first.example"},
		{"common name without DNS names", "by-cn.example", false, nil, "by-cn.example"},
		{"no name", "", false, nil, "first.example"},
		{"unknown", "x.example", false, nil, "first.example"},
		{"ECDSA before RSA", "both.example", false, nil, "both"},
		{"RSA for who cannot ECDSA", "both.example", false, onlyRSA, "both-rsa"},
		{"unknown, scanned for what the client can", "x.example", true, onlyRSA, "both-rsa"},
		{"unknown, scanned", "x.example", true, nil, "first.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, &tlsctx.ServerConfig{FullScan: c.scan, Common: tlsctx.Common{Certificates: all}}, nil)
			cfg := offering(c.sni)
			if c.client != nil {
				c.client(cfg)
			}
			r := shake(t, s, cfg)
			if r.clientErr != nil {
				t.Fatal(r.serverErr, r.clientErr)
			}
			if got := r.state.PeerCertificates[0].Subject.CommonName; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if !strings.HasPrefix(r.info.LocalCertificate.Subject, "CN="+c.want+",") {
				t.Errorf("local certificate %q", r.info.LocalCertificate.Subject)
			}
		})
	}
}

func TestRequireSNI(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	s := newServer(t, &tlsctx.ServerConfig{RequireSNI: true, Common: tlsctx.Common{Certificates: refs(t, ca.Issue(t, "a"))}}, nil)
	if r := shake(t, s, offering("a")); r.clientErr != nil {
		t.Error(r.clientErr)
	}
	r := shake(t, s, offering(""))
	if r.clientErr == nil || !strings.Contains(r.clientErr.Error(), "unrecognized name") {
		t.Errorf("%v, want unrecognized name", r.clientErr)
	}
}

func TestALPN(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{ALPN: []string{"h2", "http/1.1"}, Certificates: refs(t, ca.Issue(t, "a"))}}, nil)
	for _, c := range []struct {
		offer []string
		want  string
	}{{[]string{"http/1.1", "h2"}, "h2"}, {[]string{"http/1.1"}, "http/1.1"}, {nil, ""}, {[]string{"smtp"}, ""}} {
		r := shake(t, s, offering("a", func(t *tls.Config) { t.NextProtos = c.offer }))
		if r.clientErr != nil || r.info.NegotiatedALPN != c.want || r.state.NegotiatedProtocol != c.want {
			t.Errorf("%v: %q, %v; want %q", c.offer, r.info.NegotiatedALPN, r.clientErr, c.want)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	ca, other := secrettest.CA(t, "ca"), secrettest.CA(t, "other")
	sub := ca.Intermediate(t, "sub")
	good := sub.Issue(t, "good", secrettest.URI("spiffe://td/ns/a"))
	revoked := sub.Issue(t, "revoked")
	stranger := other.Issue(t, "stranger", secrettest.URI("spiffe://td/ns/a"))
	expired := ca.Issue(t, "expired", secrettest.Expired())
	sum := sha256.Sum256(good.Leaf.Raw)
	hash := hex.EncodeToString(sum[:])
	type ctx = tlsv3.CertificateValidationContext
	uri := func(s string) []*tlsv3.SubjectAltNameMatcher { return sanMatcher(tlsv3.SubjectAltNameMatcher_URI, s) }
	for _, c := range []struct {
		name     string
		v        *ctx
		require  bool
		client   *secrettest.Pair
		validate bool
		fails    string // the counter
	}{
		{"trusted, through an intermediate", &ctx{TrustedCa: inline(ca.Cert())}, true, good, true, ""},
		{"none, not required", &ctx{TrustedCa: inline(ca.Cert())}, false, nil, false, ""},
		{"none, required", &ctx{TrustedCa: inline(ca.Cert())}, true, nil, false, "fail_verify_no_cert"},
		{"stranger", &ctx{TrustedCa: inline(ca.Cert())}, false, stranger, false, "fail_verify_error"},
		{"stranger, accepted", &ctx{TrustedCa: inline(ca.Cert()), TrustChainVerification: tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED}, true, stranger, false, ""},
		{"stranger, not verified", nil, true, stranger, false, ""},
		{"expired", &ctx{TrustedCa: inline(ca.Cert())}, true, expired, false, "fail_verify_error"},
		{"expired, allowed", &ctx{TrustedCa: inline(ca.Cert()), AllowExpiredCertificate: true}, true, expired, true, ""},
		{"name", &ctx{TrustedCa: inline(ca.Cert()), MatchTypedSubjectAltNames: uri("spiffe://td/ns/a")}, true, good, true, ""},
		{"wrong name", &ctx{TrustedCa: inline(ca.Cert()), MatchTypedSubjectAltNames: uri("spiffe://td/ns/b")}, true, good, false, "fail_verify_san"},
		{"hash", &ctx{VerifyCertificateHash: []string{hash}}, true, good, true, ""},
		{"hash asks for a certificate", &ctx{VerifyCertificateHash: []string{hash}}, false, good, true, ""},
		{"wrong hash", &ctx{VerifyCertificateHash: []string{hash}}, true, stranger, false, "fail_verify_cert_hash"},
		{"not revoked", &ctx{TrustedCa: inline(ca.Cert()), Crl: inline(ca.CRL(t) + sub.CRL(t, revoked))}, true, good, true, ""},
		{"revoked", &ctx{TrustedCa: inline(ca.Cert()), Crl: inline(ca.CRL(t) + sub.CRL(t, revoked))}, true, revoked, false, "fail_verify_error"},
		{"an authority without a list", &ctx{TrustedCa: inline(ca.Cert()), Crl: inline(sub.CRL(t, revoked))}, true, good, false, "fail_verify_error"},
		{"… does not count for the leaf alone", &ctx{TrustedCa: inline(ca.Cert()), Crl: inline(sub.CRL(t, revoked)), OnlyVerifyLeafCertCrl: true}, true, good, true, ""},
		{"… which may be revoked", &ctx{TrustedCa: inline(ca.Cert()), Crl: inline(sub.CRL(t, revoked)), OnlyVerifyLeafCertCrl: true}, true, revoked, false, "fail_verify_error"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s %x", c.name, version), func(t *testing.T) {
				cfg := &tlsctx.ServerConfig{RequireCertificate: c.require, Common: tlsctx.Common{Certificates: refs(t, ca.Issue(t, "server"))}}
				if c.v != nil {
					r := ref(validation(t, c.v))
					cfg.Validation = &r
				}
				s := newServer(t, cfg, nil)
				client := offering("server", func(cc *tls.Config) {
					cc.MaxVersion = version
					if c.client != nil {
						crt := keyPair(c.client)
						cc.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &crt, nil }
					}
				})
				r := shake(t, s, client)
				if (r.serverErr != nil) != (c.fails != "") || (r.clientErr != nil) != (c.fails != "") {
					t.Fatalf("server %v, client %v", r.serverErr, r.clientErr)
				}
				for _, n := range []string{"fail_verify_no_cert", "fail_verify_error", "fail_verify_san", "fail_verify_cert_hash"} {
					want := int64(0)
					if n == c.fails {
						want = 1
					}
					s.counted(t, n, want)
				}
				if c.fails != "" {
					return
				}
				i := &r.info
				if i.PeerValidated != c.validate || (i.PeerCertificate != nil) != (c.client != nil) {
					t.Errorf("validated %v, %+v", i.PeerValidated, i.PeerCertificate)
				}
			})
		}
	}
}

func TestSecretsComeAndChange(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	live := secret.NewLive(nil)
	s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: []tlsctx.Ref{{Key: "c"}}}}, func(*tlsctx.Ref) *secret.Live { return live })
	if r := shake(t, s, offering("a")); r.serverErr == nil || !strings.Contains(r.serverErr.Error(), "not there yet: c") {
		t.Errorf("without a secret: %v", r.serverErr)
	}
	s.counted(t, "server_ssl_socket_factory.downstream_context_secrets_not_ready", 1)
	live.Store(certificate(t, ca.Issue(t, "one")))
	before := shake(t, s, offering("a"))
	if before.clientErr != nil {
		t.Fatal(before.serverErr, before.clientErr)
	}
	live.Store(certificate(t, ca.Issue(t, "two")))
	if r := shake(t, s, offering("a")); r.clientErr != nil || r.state.PeerCertificates[0].Subject.CommonName != "two" {
		t.Errorf("after a change: %v", r.clientErr)
	}
	s.counted(t, "context_updated", 1)
	live.Store(trust(t, ca)) // not a certificate: the last good one stays
	if r := shake(t, s, offering("a")); r.clientErr != nil || r.state.PeerCertificates[0].Subject.CommonName != "two" {
		t.Errorf("after a bad change: %v", r.clientErr)
	}
	s.counted(t, "context_update_bad", 1)
	// The connection of before goes on.
	if _, err := before.client.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, before.server, 10); got != "still here" {
		t.Errorf("%q", got)
	}
}

// TestPeekedBytesAreNotLost: the listener filters have read the hello before.
func TestPeekedBytesAreNotLost(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(t, ca.Issue(t, "a"))}}, nil)
	sock, raw := sockets(t)
	client := tls.Client(raw, offering("a"))
	done := make(chan error, 1)
	go func() {
		_, err := client.Write([]byte("hello"))
		done <- err
	}()
	c := conn.New(sock)
	if _, err := c.ReadBuf(&c.In); err != nil {
		t.Fatal(err)
	}
	if err := s.Server.Server(c, time.Now().Add(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, c, 5); got != "hello" {
		t.Errorf("%q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDeadline(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(t, ca.Issue(t, "a"))}}, nil)
	sock, _ := sockets(t)
	c := conn.New(sock)
	if err := s.Server.Server(c, time.Now().Add(10*time.Millisecond)); err == nil || c.Info.TLSFailure != "TLS_error:|handshake timeout:TLS_error_end" {
		t.Errorf("%v, %q", err, c.Info.TLSFailure)
	}
}

func TestBytesBothWays(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(t, ca.Issue(t, "a"))}}, nil)
	r := shake(t, s, offering("a"))
	if r.clientErr != nil {
		t.Fatal(r.clientErr)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 20<<10) // 320 KB
	go func() {
		_, _ = r.client.Write(big)
		_ = r.client.CloseWrite()
	}()
	if got := readAll(t, r.server, len(big)+1); got != string(big) {
		t.Errorf("%d bytes, want %d", len(got), len(big))
	}
	go func() {
		_, _ = r.server.Writev([]byte("head"), big)
		_, _ = r.server.Writev([]byte("head"), []byte("body"))
		_ = r.server.CloseWrite()
	}()
	got, err := io.ReadAll(r.client)
	if err != nil || string(got) != "head"+string(big)+"headbody" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func sanMatcher(k tlsv3.SubjectAltNameMatcher_SanType, exact string) []*tlsv3.SubjectAltNameMatcher {
	return []*tlsv3.SubjectAltNameMatcher{{SanType: k, Matcher: exactly(exact)}}
}
