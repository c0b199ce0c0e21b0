// Package originaldst is envoy.filters.listener.original_dst: it gives a
// connection that iptables or nftables REDIRECTed its original destination back.
// That of a TPROXYed one is its local address, and needs nothing.
package originaldst

import (
	"net/netip"
	"unsafe"

	dstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
)

// config is the parsed configuration: there is nothing to configure.
type config struct{}

// Factory is envoy.filters.listener.original_dst.
func Factory() *extension.Factory {
	return filters.NewListener("envoy.filters.listener.original_dst", parse, build)
}

func parse(*dstv3.OriginalDst, *extension.Context) (*config, error) { return &config{}, nil }

func build(*config, *filters.BuildContext) (any, error) { return filter{}, nil }

type filter struct{}

// NewInspection implements filters.ListenerFilter; it looks at no byte.
func (filter) NewInspection(c *conn.Conn) filters.Inspection {
	if dst, ok := originalDst(c); ok && dst != c.Info.Local {
		c.Info.Dest, c.Info.DestRestored = dst, true
	}
	return nil
}

// originalDst asks connection tracking for where the client wanted to go; false
// when it knows nothing of the connection.
func originalDst(c *conn.Conn) (dst netip.AddrPort, ok bool) {
	s := c.Socket()
	if s == nil {
		return dst, false
	}
	v4 := c.Info.Local.Addr().Is4() // also on a socket that takes both families
	_ = s.Raw().Control(func(fd uintptr) {
		if v4 {
			dst, ok = ask4(fd)
		} else {
			dst, ok = ask6(fd)
		}
	})
	return dst, ok
}

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h and, the same number,
// IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h.
const soOriginalDst = 80

func ask4(fd uintptr) (netip.AddrPort, bool) {
	var sa unix.RawSockaddrInet4
	if !getsockopt(fd, unix.SOL_IP, unsafe.Pointer(&sa), unsafe.Sizeof(sa)) || sa.Family != unix.AF_INET {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), port(sa.Port)), true
}

func ask6(fd uintptr) (netip.AddrPort, bool) {
	var sa unix.RawSockaddrInet6
	if !getsockopt(fd, unix.SOL_IPV6, unsafe.Pointer(&sa), unsafe.Sizeof(sa)) || sa.Family != unix.AF_INET6 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), port(sa.Port)), true
}

func getsockopt(fd uintptr, level int, p unsafe.Pointer, size uintptr) bool {
	n := uint32(size)
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), soOriginalDst, uintptr(p), uintptr(unsafe.Pointer(&n)), 0)
	return e == 0 && uintptr(n) >= size
}

// port is a port that is in network order in memory.
func port(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}
