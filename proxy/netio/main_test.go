package netio

import (
	"context"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(onBothDrivers{m}) }

// loops is where the sockets of the tests wait; nil is the runtime's poller.
var loops *Loops

// onBothDrivers runs every test twice: a driver must not show above the seam.
type onBothDrivers struct{ m *testing.M }

func (b onBothDrivers) Run() int {
	if code := b.m.Run(); code != 0 {
		return code
	}
	var err error
	if loops, err = NewLoops(2); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); loops.Run(ctx) }()
	code := b.m.Run()
	stop()
	<-done
	return code
}

// socketpair gives two connected unix sockets.
func socketpair(t testing.TB) (a, b *Socket) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, fds[0], netip.AddrPort{}), wrap(t, fds[1], netip.AddrPort{})
}

func wrap(t testing.TB, fd int, remote netip.AddrPort) *Socket {
	t.Helper()
	s, err := loops.NewSocket(fd, netip.AddrPort{}, remote, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	// A test that hangs fails at this deadline instead.
	if err := s.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return s
}

// listener is a raw TCP listener on loopback.
func listener(t testing.TB) (fd int, addr netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 16); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, addrPort(sa)
}

// tcpPair gives the two ends of a TCP connection on loopback.
func tcpPair(t testing.TB) (a, b *Socket) {
	t.Helper()
	fd, addr := listener(t)
	a, err := Dial(t.Context(), addr, DialOptions{Loops: loops})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	nfd, sa, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	return a, wrap(t, nfd, addrPort(sa))
}

func write(t testing.TB, c Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, c Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// descriptors counts this process's open file descriptors.
func descriptors(t testing.TB) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// pass lets time go by in a synctest bubble.
func pass(d time.Duration) { <-time.NewTimer(d).C }

// address gives the invalid AddrPort.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		a := netip.AddrFrom16(sa.Addr)
		if a.Is4In6() {
			return netip.AddrPortFrom(a.Unmap(), uint16(sa.Port))
		}
		return netip.AddrPortFrom(a, uint16(sa.Port))
	}
	return netip.AddrPort{}
}
