package tlsctx

import (
	"crypto/sha1" //nolint:gosec // a fingerprint that logs are asked for, not a protection
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/info"
)

// Describe gives what is told of a chain, the leaf first, to matchers, access logs and x-forwarded-client-cert; nil of none.
func Describe(chain []*x509.Certificate) *info.Certificate {
	if len(chain) == 0 {
		return nil
	}
	c := chain[0]
	s256 := sha256.Sum256(c.Raw)
	s1 := sha1.Sum(c.Raw) //nolint:gosec // as above
	d := &info.Certificate{
		Subject: dn(c.RawSubject), Issuer: dn(c.RawIssuer),
		Serial: serial(c),
		SHA256: hex.EncodeToString(s256[:]), SHA1: hex.EncodeToString(s1[:]),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Chain: make([][]byte, len(chain)),
	}
	for i, x := range chain {
		d.Chain[i] = x.Raw
	}
	for _, n := range SANs(c) {
		switch n.Type {
		case secret.URISAN:
			d.URIs = append(d.URIs, n.Value)
		case secret.DNSSAN:
			d.DNSNames = append(d.DNSNames, n.Value)
		case secret.IPSAN:
			d.IPs = append(d.IPs, n.Value)
		case secret.EmailSAN:
			d.Emails = append(d.Emails, n.Value)
		}
	}
	return d
}

// serial writes the serial number as BN_bn2hex does, in lower case: whole bytes.
func serial(c *x509.Certificate) string {
	s := c.SerialNumber.Text(16)
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}

// attributes are the short names of RFC 4514 §3 and those that OpenSSL knows besides.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.17": "postalCode", "2.5.4.42": "GN", "2.5.4.43": "initials",
	"2.5.4.46": "dnQualifier", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}

// dn writes a name as RFC 2253 has it: the last part first.
func dn(raw []byte) string {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &seq); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for i := len(seq) - 1; i >= 0; i-- {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		for j, a := range seq[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			k := a.Type.String()
			if n := attributes[k]; n != "" {
				k = n
			}
			b.WriteString(k + "=")
			s, _ := a.Value.(string)
			escape(&b, s)
		}
	}
	return b.String()
}

// escape writes a value of a name (RFC 2253 §2.4).
func escape(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case strings.IndexByte(`,+"\<>;`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteString(`\` + strings.ToUpper(hex.EncodeToString([]byte{c})))
		default:
			b.WriteByte(c)
		}
	}
}
