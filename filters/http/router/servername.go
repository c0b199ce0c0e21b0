package router

import (
	"net/netip"

	"github.com/weirproxy/weir/proxy/header"
)

// serverName settles what TLS asks the host for, and its certificate must be good for, when that is the request's host (Envoy: auto_sni,
// auto_san_validation). It is the host that the route has put there, without its port; an address is not sent, but checked.
func (e *exchange) serverName() {
	o := &e.cl.Config().HTTP
	if !o.AutoSNI && !o.AutoSAN {
		return
	}
	host := hostOnly(e.s.Request.Value(header.Authority))
	if len(host) == 0 {
		return
	}
	name := string(host)
	if o.AutoSNI {
		e.open.SNI = name
	}
	if o.AutoSAN {
		e.open.SAN = name
	}
}

// hostOnly is a host without its port and without the brackets of an address.
func hostOnly(b []byte) []byte {
	if len(b) > 0 && b[0] == '[' {
		for i, c := range b {
			if c == ']' {
				return b[1:i]
			}
		}
		return b
	}
	for i := len(b) - 1; i >= 0 && (b[i] >= '0' && b[i] <= '9' || b[i] == ':'); i-- {
		if b[i] == ':' {
			if _, err := netip.ParseAddr(string(b)); err == nil {
				return b // an IPv6 address without brackets
			}
			return b[:i]
		}
	}
	return b
}
