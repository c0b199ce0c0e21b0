package info

import "encoding/base64"

// AppendPEM appends the certificate — with all, its whole chain — as PEM in the encoding of URLs, as Envoy writes it into access logs
// and x-forwarded-client-cert.
func (c *Certificate) AppendPEM(dst []byte, all bool) []byte {
	n := min(1, len(c.Chain))
	if all {
		n = len(c.Chain)
	}
	for _, der := range c.Chain[:n] {
		dst = append(dst, "-----BEGIN%20CERTIFICATE-----%0A"...)
		for len(der) > 0 {
			k := min(len(der), pemLine)
			var line [pemLine / 3 * 4]byte
			base64.StdEncoding.Encode(line[:], der[:k])
			for _, b := range line[:base64.StdEncoding.EncodedLen(k)] {
				switch b {
				case '+':
					dst = append(dst, "%2B"...)
				case '/':
					dst = append(dst, "%2F"...)
				case '=':
					dst = append(dst, "%3D"...)
				default:
					dst = append(dst, b)
				}
			}
			dst = append(dst, "%0A"...)
			der = der[k:]
		}
		dst = append(dst, "-----END%20CERTIFICATE-----%0A"...)
	}
	return dst
}

// pemLine is how many bytes a line of PEM has: 64 characters (RFC 7468 §2).
const pemLine = 48
