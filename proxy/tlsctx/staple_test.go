package tlsctx_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

func stapled(p *secrettest.Pair, der []byte) *tlsv3.Secret {
	return &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(p.Cert()), PrivateKey: inline(p.PrivateKey()),
		OcspStaple: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: der}},
	}}}
}

func TestOCSPStaples(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.Issue(t, "a")
	must := ca.Issue(t, "must", secrettest.With(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	}))
	fresh, stale := secrettest.Now.Add(time.Hour), secrettest.Now.Add(-time.Minute)
	for _, c := range []struct {
		name   string
		leaf   *secrettest.Pair
		next   time.Time // zero: no staple
		policy tlsctx.Staple
		staple bool
		fails  bool
	}{
		{"fresh", leaf, fresh, tlsctx.Lenient, true, false},
		{"stale is left out", leaf, stale, tlsctx.Lenient, false, false},
		{"none", leaf, time.Time{}, tlsctx.Strict, false, false},
		{"stale, strict", leaf, stale, tlsctx.Strict, false, true},
		{"none, required", leaf, time.Time{}, tlsctx.Required, false, true},
		{"fresh, required", leaf, fresh, tlsctx.Required, true, false},
		{"must-staple without", must, time.Time{}, tlsctx.Lenient, false, true},
		{"must-staple with", must, fresh, tlsctx.Lenient, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			crt := certificate(t, c.leaf)
			var der []byte
			if !c.next.IsZero() {
				der = c.leaf.OCSP(t, c.next)
				crt = decode(t, stapled(c.leaf, der))
			}
			s := newServer(t, &tlsctx.ServerConfig{Staple: c.policy, Common: tlsctx.Common{Certificates: []tlsctx.Ref{ref(crt)}}}, nil)
			r := shake(t, s, offering("a"))
			if (r.clientErr != nil) != c.fails {
				t.Fatal(r.clientErr, r.serverErr)
			}
			if c.fails {
				s.counted(t, "ocsp_staple_failed", 1)
				return
			}
			if got := r.state.OCSPResponse; c.staple != (len(got) > 0) || c.staple && !bytes.Equal(got, der) {
				t.Errorf("stapled %d bytes", len(got))
			}
		})
	}
}

func TestStaplesThatCannotBe(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	a, b := ca.Issue(t, "a"), ca.Issue(t, "b")
	for want, der := range map[string][]byte{
		"about another certificate": b.OCSP(t, secrettest.Now),
		"not an OCSP response":      []byte("hello"),
		"not a successful one":      {0x30, 0x03, 0x0a, 0x01, 0x06},
	} {
		if _, err := secret.Decode(stapled(a, der), nil); err == nil || !strings.Contains(err.Error(), "tls_certificate.ocsp_staple: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
