package netio

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept takes a connection from a listening socket, without waiting: EAGAIN says
// that there is none. The new socket does not block and is closed on exec. from is
// invalid on a unix socket.
//
// unix.Accept4 and unix.Getsockname ask for the socket's protocol besides, which
// is a system call more each.
func Accept(lfd uintptr) (fd int, from netip.AddrPort, err error) {
	var sa unix.RawSockaddrAny
	for {
		n := uint32(unsafe.Sizeof(sa))
		r, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, lfd, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch e {
		case 0:
			return int(r), rawAddrPort(&sa), nil
		case unix.EINTR:
		default:
			return -1, netip.AddrPort{}, e
		}
	}
}

// localName asks for a socket's own address; the invalid one when it has none.
func localName(fd uintptr) netip.AddrPort {
	var sa unix.RawSockaddrAny
	n := uint32(unsafe.Sizeof(sa))
	if _, _, e := syscall.RawSyscall(unix.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n))); e != 0 {
		return netip.AddrPort{}
	}
	return rawAddrPort(&sa)
}

// rawAddrPort converts a socket address as the kernel writes it; an IPv4-mapped
// one becomes IPv4, and one of another family is invalid.
func rawAddrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), networkOrder(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), networkOrder(a.Port))
	}
	return netip.AddrPort{}
}
