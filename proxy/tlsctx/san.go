package tlsctx

import (
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"strconv"

	"github.com/weirproxy/weir/config/secret"
)

// oidSAN is subjectAltName (RFC 5280 §4.2.1.6).
var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

// SANs gives the subject alternative names of a certificate in its order, as Envoy writes them. Those of no known type are left out.
func SANs(c *x509.Certificate) (out []secret.SAN) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSAN) {
			continue
		}
		var seq asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &seq); err != nil || len(rest) > 0 {
			return nil
		}
		for rest := seq.Bytes; len(rest) > 0; {
			var v asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &v); err != nil {
				return out
			}
			if n, ok := name(&v); ok {
				out = append(out, n)
			}
		}
	}
	return out
}

// name reads a GeneralName.
func name(v *asn1.RawValue) (secret.SAN, bool) {
	if v.Class != asn1.ClassContextSpecific {
		return secret.SAN{}, false
	}
	switch v.Tag {
	case 0:
		return otherName(v.Bytes)
	case 1:
		return secret.SAN{Type: secret.EmailSAN, Value: string(v.Bytes)}, true
	case 2:
		return secret.SAN{Type: secret.DNSSAN, Value: string(v.Bytes)}, true
	case 6:
		return secret.SAN{Type: secret.URISAN, Value: string(v.Bytes)}, true
	case 7:
		if ip, ok := netip.AddrFromSlice(v.Bytes); ok {
			return secret.SAN{Type: secret.IPSAN, Value: ip.String()}, true
		}
	}
	return secret.SAN{}, false
}

// otherName reads an OtherName: an object identifier and a value, written as Envoy matches it (SubjectAltNameMatcher.matcher).
func otherName(b []byte) (secret.SAN, bool) {
	var id asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(b, &id)
	if err != nil {
		return secret.SAN{}, false
	}
	var wrapped, v asn1.RawValue
	if _, err := asn1.Unmarshal(rest, &wrapped); err != nil {
		return secret.SAN{}, false
	}
	if _, err := asn1.Unmarshal(wrapped.Bytes, &v); err != nil {
		return secret.SAN{}, false
	}
	n := secret.SAN{Type: secret.OtherSAN, OID: id.String(), Value: string(v.Bytes)}
	if v.Class != asn1.ClassUniversal {
		return n, true
	}
	switch v.Tag {
	case asn1.TagBoolean:
		n.Value = strconv.FormatBool(len(v.Bytes) > 0 && v.Bytes[0] != 0)
	case asn1.TagOID:
		var o asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(v.FullBytes, &o); err == nil {
			n.Value = o.String()
		}
	case asn1.TagInteger, asn1.TagEnum:
		if i, ok := integer(v.Bytes); ok {
			n.Value = i
		}
	case asn1.TagNull:
		n.Value = ""
	}
	return n, true
}

// integer writes a small integer; a large one is left as it is.
func integer(b []byte) (string, bool) {
	if len(b) == 0 || len(b) > 8 {
		return "", false
	}
	i := int64(int8(b[0]))
	for _, c := range b[1:] {
		i = i<<8 | int64(c)
	}
	return strconv.FormatInt(i, 10), true
}

// matchSAN tells whether a name of the certificate is one that is wanted.
func matchSAN(c *x509.Certificate, want []secret.SANMatcher) bool {
	all := SANs(c)
	for i := range all {
		for j := range want {
			if want[j].Match(&all[i]) {
				return true
			}
		}
	}
	return false
}
