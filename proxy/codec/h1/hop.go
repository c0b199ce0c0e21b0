package h1

import (
	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
)

// stripHop removes the fields that concern one connection only (RFC 9110
// §7.6.1): Connection and what it names, Keep-Alive, Proxy-Connection,
// Transfer-Encoding, and TE but for "trailers". An upgrade keeps Upgrade and a
// Connection of just that; Expect stays, since the next hop answers it.
func stripHop(h *header.Headers, f *framing, upgrade bool) error {
	if f.named {
		if err := stripNamed(h); err != nil {
			return err
		}
	}
	for i := 0; i < h.Len(); {
		switch h.IDAt(i) {
		case header.IDConnection, header.IDKeepAlive, header.IDProxyConnection, header.IDTransferEncoding:
			h.DelAt(i)
			continue
		case header.IDUpgrade:
			if !upgrade {
				h.DelAt(i)
				continue
			}
		case header.IDTE:
			if _, v := h.At(i); !hasToken(v, "trailers") {
				h.DelAt(i)
				continue
			} else if !grammar.EqualFold(v, "trailers") {
				h.Set(header.TE, []byte("trailers"))
			}
		}
		i++
	}
	return nil
}

// stripNamed removes the fields that Connection names. Naming a field that
// frames or routes the message is an attack on the next hop, and refused.
func stripNamed(h *header.Headers) error {
	var err error
	for i := h.Index(header.Connection, 0); i >= 0; i = h.Index(header.Connection, i+1) {
		_, v := h.At(i)
		grammar.EachToken(v, func(tok []byte) {
			if !grammar.IsToken(tok) {
				return // it names no field; ":status" is none that may be named
			}
			switch id := header.Lookup(tok); id {
			case header.IDAuthority, header.IDContentLength, header.IDTransferEncoding, header.IDXForwardedFor,
				header.IDXForwardedProto, header.IDXForwardedHost, header.IDXRequestID, header.IDCookie:
				err = ErrConnectionHop
			case header.IDConnection, header.IDKeepAlive, header.IDUpgrade, header.IDTE, header.IDProxyConnection:
			default:
				if !grammar.EqualFold(tok, "close") {
					h.Del(header.Intern(string(tok)))
				}
			}
		})
	}
	return err
}
