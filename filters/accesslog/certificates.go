package accesslog

import (
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// The variants of certificate, in op.flag: what of it, and whose.
const (
	subject uint8 = iota + 1
	issuer
	serial
	sha256Print
	sha1Print
	pemText
	validFrom
	validUntil
	uriSANs
	dnsSANs
	ipSANs
	emailSANs

	theirs uint8 = 0 << 4
	ours   uint8 = 1 << 4
)

func certificate(dst []byte, o *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	crt := c.Info.PeerCertificate
	if o.flag&partMask == ours {
		crt = c.Info.LocalCertificate
	}
	if crt == nil {
		return dst, none
	}
	switch o.flag & sideMask {
	case subject:
		return appendText(dst, crt.Subject)
	case issuer:
		return appendText(dst, crt.Issuer)
	case serial:
		return appendText(dst, crt.Serial)
	case sha256Print:
		return appendText(dst, crt.SHA256)
	case sha1Print:
		return appendText(dst, crt.SHA1)
	case pemText:
		return crt.AppendPEM(dst, false), text
	case validFrom:
		return o.layout.append(dst, crt.NotBefore.UTC()), text
	case validUntil:
		return o.layout.append(dst, crt.NotAfter.UTC()), text
	}
	return appendList(dst, sans(crt, o.flag&sideMask))
}

func sans(c *info.Certificate, which uint8) []string {
	switch which {
	case uriSANs:
		return c.URIs
	case dnsSANs:
		return c.DNSNames
	case ipSANs:
		return c.IPs
	}
	return c.Emails
}

func appendList(dst []byte, l []string) ([]byte, kind) {
	if len(l) == 0 {
		return dst, none
	}
	for i, s := range l {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, s...)
	}
	return dst, text
}

func tlsSession(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.TLSSessionID)
}

// tlsFailure writes the reason with "_" for spaces, as Envoy does.
func tlsFailure(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	at := len(dst)
	dst, k := appendText(dst, c.Info.TLSFailure)
	for i := at; i < len(dst); i++ {
		if dst[i] == ' ' {
			dst[i] = '_'
		}
	}
	return dst, k
}

// certificateLayout is Envoy's default for dates of certificates: 2018-12-18T01:50:34.000Z.
const certificateLayout = "%Y-%m-%dT%H:%M:%S.000Z"

func certificateDateArg(o *op, args string) (err error) {
	if args == "" {
		args = certificateLayout
	}
	o.layout, err = parseLayout(args)
	return err
}
