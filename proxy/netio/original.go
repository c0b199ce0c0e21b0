package netio

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OriginalDst asks connection tracking where the client of a connection that was
// REDIRECTed here wanted to go; false when it knows of no such thing.
func (s *Socket) OriginalDst() (dst netip.AddrPort, ok bool) {
	v4 := s.LocalAddr().Addr().Is4() // also on a socket that takes both families
	_ = s.d.Control(func(fd uintptr) {
		if v4 {
			dst, ok = originalDst4(fd)
		} else {
			dst, ok = originalDst6(fd)
		}
	})
	return dst, ok
}

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h and, the same number,
// IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h.
const soOriginalDst = 80

func originalDst4(fd uintptr) (netip.AddrPort, bool) {
	var sa unix.RawSockaddrInet4
	if !getsockopt(fd, unix.SOL_IP, unsafe.Pointer(&sa), unsafe.Sizeof(sa)) || sa.Family != unix.AF_INET {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), networkOrder(sa.Port)), true
}

func originalDst6(fd uintptr) (netip.AddrPort, bool) {
	var sa unix.RawSockaddrInet6
	if !getsockopt(fd, unix.SOL_IPV6, unsafe.Pointer(&sa), unsafe.Sizeof(sa)) || sa.Family != unix.AF_INET6 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), networkOrder(sa.Port)), true
}

func getsockopt(fd uintptr, level int, p unsafe.Pointer, size uintptr) bool {
	n := uint32(size)
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), soOriginalDst, uintptr(p), uintptr(unsafe.Pointer(&n)), 0)
	return e == 0 && uintptr(n) >= size
}

// networkOrder reads a port that lies in memory in network order.
func networkOrder(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}
