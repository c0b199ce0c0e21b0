package h2

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/netio"
)

// sockets gives two sockets that are connected to each other.
func sockets(t testing.TB) (a, b netio.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort("192.0.2.1:1")
	var ends [2]netio.Conn
	for i, fd := range fds {
		s, err := netio.NewSocket(fd, at, at)
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = s
	}
	return ends[0], ends[1]
}
