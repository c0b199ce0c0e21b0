package upstream

import (
	"net/netip"

	"github.com/weirproxy/weir/proxy/info"
)

// Borrow makes the connection to a host come from the client's own address
// (original_src), if the client lends it. An address of the other IP version
// cannot reach the host: such a connection comes from ours.
func (o *OpenInfo) Borrow(c *info.Conn, to netip.AddrPort) {
	src := c.Source
	if !c.Spoof || !src.IsValid() || !to.IsValid() || src.Addr().Unmap().Is4() != to.Addr().Unmap().Is4() {
		o.Source, o.Transparent, o.Mark = netip.AddrPort{}, false, 0
		return
	}
	if !c.SpoofPort {
		src = netip.AddrPortFrom(src.Addr(), 0)
	}
	o.Source, o.Transparent, o.Mark = src, true, c.SpoofMark
}
