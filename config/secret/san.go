package secret

import (
	"net/netip"
	"strconv"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
)

// SANType is the kind of a subject alternative name (RFC 5280 §4.2.1.6).
type SANType uint8

// The kinds that can be matched. AnySAN is that of the deprecated match_subject_alt_names: e-mail, DNS, URI or IP address.
const (
	AnySAN SANType = iota
	EmailSAN
	DNSSAN
	URISAN
	IPSAN
	OtherSAN
)

// A SAN is one subject alternative name of a certificate, as text.
type SAN struct {
	Type  SANType
	Value string
	OID   string // of an OtherSAN: dotted numbers
}

// A SANMatcher is the compiled SubjectAltNameMatcher.
type SANMatcher struct {
	Type SANType
	OID  string // of OtherSAN
	Text match.String
	DNS  string // what an exact matcher of DNS names wants: wildcards of the certificate fit it
}

// ExactDNS matches certificates that are good for the host name.
func ExactDNS(name string) SANMatcher {
	return SANMatcher{Type: DNSSAN, Text: match.Exact(name), DNS: name}
}

// ExactHost matches certificates that are good for a host, by its name or its address.
func ExactHost(host string) SANMatcher {
	if a, err := netip.ParseAddr(host); err == nil {
		return SANMatcher{Type: IPSAN, Text: match.Exact(a.String())}
	}
	return ExactDNS(host)
}

// Match tells whether the name is one that is wanted.
func (m *SANMatcher) Match(n *SAN) bool {
	if m.Type != n.Type && (m.Type != AnySAN || n.Type == OtherSAN) || m.Type == OtherSAN && m.OID != n.OID {
		return false
	}
	if m.DNS != "" && n.Type == DNSSAN {
		return MatchDNS(m.DNS, n.Value)
	}
	return m.Text.Match([]byte(n.Value))
}

// MatchDNS tells whether a DNS name of a certificate, which may be a wildcard, is good for a host name (RFC 6125 §6.4.3): a star
// stands for one label or a part of it, in the first label only, and not in one that is encoded.
func MatchDNS(host, pattern string) bool {
	host, pattern = match.LowerString(host), match.LowerString(pattern)
	if host == pattern {
		return true
	}
	h, hostRest, ok := strings.Cut(host, ".")
	p, rest, okP := strings.Cut(pattern, ".")
	if !ok || !okP || hostRest != rest || strings.Contains(rest, "*") || strings.HasPrefix(p, "xn--") {
		return false
	}
	pre, suf, star := strings.Cut(p, "*")
	return star && !strings.Contains(suf, "*") && h != "" && len(h) >= len(pre)+len(suf) &&
		strings.HasPrefix(h, pre) && strings.HasSuffix(h, suf)
}

func decodeSANs(l *fielderr.List, path string, p *tlsv3.CertificateValidationContext) (out []SANMatcher) {
	for i, s := range p.GetMatchTypedSubjectAltNames() {
		at := fielderr.Index(path+".match_typed_subject_alt_names", i)
		m := SANMatcher{}
		switch s.GetSanType() {
		case tlsv3.SubjectAltNameMatcher_EMAIL:
			m.Type = EmailSAN
		case tlsv3.SubjectAltNameMatcher_DNS:
			m.Type = DNSSAN
		case tlsv3.SubjectAltNameMatcher_URI:
			m.Type = URISAN
		case tlsv3.SubjectAltNameMatcher_IP_ADDRESS:
			m.Type = IPSAN
		case tlsv3.SubjectAltNameMatcher_OTHER_NAME:
			m.Type, m.OID = OtherSAN, s.GetOid()
			if !isOID(m.OID) {
				l.Addf(at+".oid", "%q is not an object identifier (like 1.3.6.1.4.1.311.20.2.3)", m.OID)
			}
		default:
			l.Addf(at+".san_type", "%s is not a type of name", s.GetSanType())
		}
		m.text(l, at+".matcher", s.GetMatcher())
		out = append(out, m)
	}
	if len(out) > 0 {
		return out // Envoy ignores the deprecated field beside it
	}
	//nolint:staticcheck // SA1019: deprecated, and still sent by control planes
	for i, s := range p.GetMatchSubjectAltNames() {
		m := SANMatcher{}
		m.text(l, fielderr.Index(path+".match_subject_alt_names", i), s)
		out = append(out, m)
	}
	return out
}

func (m *SANMatcher) text(l *fielderr.List, path string, p *matcherv3.StringMatcher) {
	var err error
	if m.Text, err = match.NewString(p); err != nil {
		l.Add(path, err)
	}
	if e, ok := p.GetMatchPattern().(*matcherv3.StringMatcher_Exact); ok && (m.Type == DNSSAN || m.Type == AnySAN) {
		m.DNS = e.Exact
	}
}

func isOID(s string) bool {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 63); err != nil {
			return false
		}
	}
	return len(parts) > 1
}
