package tlsctx

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/info"
)

// A cert is a certificate that a server can present.
type cert struct {
	tls        tls.Certificate
	staple     *secret.Staple
	ecdsa      bool
	mustStaple bool
	about      *info.Certificate
}

// oidMustStaple is the TLS feature extension (RFC 7633).
var oidMustStaple = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

func newCert(c *secret.Certificate) *cert {
	m := &cert{
		tls:    tls.Certificate{Certificate: c.Chain, PrivateKey: c.Key.Reveal(), Leaf: c.Leaf},
		staple: c.Staple,
		about:  Describe([]*x509.Certificate{c.Leaf}),
	}
	m.about.Chain = c.Chain
	_, m.ecdsa = c.Leaf.PublicKey.(*ecdsa.PublicKey)
	for _, e := range c.Leaf.Extensions {
		m.mustStaple = m.mustStaple || e.Id.Equal(oidMustStaple)
	}
	return m
}

// A selector chooses the certificate that a client is shown (Envoy: multiple TLS certificates). It is immutable.
type selector struct {
	all    []*cert
	byName map[string][]*cert // exact names, and those of wildcards without their star: ".example.com"
	scan   bool
	policy Staple
	now    func() time.Time
	tally  *Tally
}

func newSelector(all []*cert, scan bool, policy Staple, t *Tally) *selector {
	s := &selector{all: all, byName: map[string][]*cert{}, scan: scan, policy: policy, now: time.Now, tally: t}
	for _, c := range all {
		names := c.about.DNSNames
		if len(names) == 0 {
			names = []string{c.tls.Leaf.Subject.CommonName}
		}
		for _, n := range names {
			n = strings.TrimPrefix(match.LowerString(n), "*")
			s.byName[n] = append(s.byName[n], c)
		}
	}
	return s
}

// errNoUsable is a handshake for which ocsp_staple_policy leaves no certificate.
var errNoUsable = errors.New("no certificate has the OCSP response that ocsp_staple_policy wants")

// choose gives the certificate for a client; nil when the policy leaves none. Names are looked for as they are, then as wildcards of one label; of those found the first that
// the client can use is taken, ECDSA before others. When no certificate has the name the first is taken, or with
// full_scan_certs_on_sni_mismatch the first that the client can use.
func (s *selector) choose(h *tls.ClientHelloInfo) *cert {
	host := match.LowerString(h.ServerName)
	among, found := s.byName[host], true
	if host == "" || among == nil {
		if i := strings.IndexByte(host, '.'); i >= 0 {
			among = s.byName[host[i:]]
		} else {
			among = nil
		}
	}
	if len(among) == 0 {
		found = false
		among = s.all
		if !s.scan {
			among = s.all[:1]
		}
	}
	c := s.among(h, among)
	if c == nil && !found && !s.scan && s.policy != Lenient {
		c = s.among(h, s.all)
	}
	return c
}

// among gives the first certificate that the client can use, ECDSA before others; the first that may be shown when it can use none.
func (s *selector) among(h *tls.ClientHelloInfo, all []*cert) (best *cert) {
	var usable, fallback *cert
	for _, c := range all {
		if !s.allowed(c) {
			continue
		}
		if fallback == nil {
			fallback = c
		}
		if len(all) == 1 || !usableBy(h, c) {
			continue
		}
		if c.ecdsa {
			return c
		}
		if usable == nil {
			usable = c
		}
	}
	if usable != nil {
		return usable
	}
	return fallback
}

// usableBy tells whether the client can verify the certificate's key, whatever its names.
func usableBy(h *tls.ClientHelloInfo, c *cert) bool {
	nameless := *h
	nameless.ServerName = ""
	return nameless.SupportsCertificate(&c.tls) == nil
}

// allowed tells whether the policy lets the certificate be shown.
func (s *selector) allowed(c *cert) bool {
	switch {
	case s.policy == Required || c.mustStaple:
		return c.staple.Fresh(s.now())
	case s.policy == Strict:
		return c.staple == nil || c.staple.Fresh(s.now())
	}
	return true
}

// staple adds the OCSP response to what is shown, if there is one that is good.
func (s *selector) staple(h *tls.ClientHelloInfo, c *cert) *tls.Certificate {
	if !asksForStaple(h) {
		return &c.tls
	}
	st := s.tally.Stats
	st.StapleRequests.Inc()
	if !c.staple.Fresh(s.now()) {
		st.StapleOmitted.Inc()
		return &c.tls
	}
	st.StapleResponses.Inc()
	own := c.tls
	own.OCSPStaple = c.staple.DER
	return &own
}

// asksForStaple tells whether the client sent status_request (RFC 6066 §8).
func asksForStaple(h *tls.ClientHelloInfo) bool {
	for _, e := range h.Extensions {
		if e == 5 {
			return true
		}
	}
	return false
}
