package intercept

import "net/netip"

// OwnListener reports whether a connection to dst would reach one of our own
// listeners, whose addresses are addrs: such a dial is refused, or Weir would
// talk to itself for ever. It is pure; the caller adds the machine's addresses
// to addrs where a listener is bound to the wildcard address.
//
// A wildcard listener matches its port on loopback and unspecified destinations:
// a dial to 0.0.0.0 or :: goes to this machine (RFC 1122 §3.2.1.3; Linux). The
// IPv6 wildcard takes IPv4 too, as a dual-stack socket does.
func OwnListener(addrs []netip.AddrPort, dst netip.AddrPort) bool {
	to := dst.Addr().Unmap().WithZone("")
	for _, a := range addrs {
		if a.Port() != dst.Port() {
			continue
		}
		own := a.Addr().Unmap().WithZone("")
		switch {
		case own == to:
			return true
		case own.IsUnspecified() && (own.Is6() || to.Is4()) && (to.IsLoopback() || to.IsUnspecified()):
			return true
		case own.IsLoopback() && to.IsUnspecified() && own.Is4() == to.Is4():
			return true
		}
	}
	return false
}
