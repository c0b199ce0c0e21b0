package netio

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDialSaysWhatFailed(t *testing.T) {
	fd, addr := listener(t)
	unix.Close(fd)
	before := descriptors(t)
	_, err := Dial(t.Context(), addr, DialOptions{Loops: loops, Deadline: time.Now().Add(5 * time.Second)})
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), addr.String()) {
		t.Error(err)
	}
	_, err = Dial(t.Context(), addr, DialOptions{Loops: loops, Source: netip.MustParseAddrPort("192.0.2.1:0")})
	if !errors.Is(err, syscall.EADDRNOTAVAIL) || !strings.Contains(err.Error(), "bind 192.0.2.1:0") {
		t.Error(err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, before there were %d", n, before)
	}
}

// full is the address of a listener whose queue is full: what dials it waits.
func full(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, addr := listener(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		s, err := Dial(t.Context(), addr, DialOptions{Loops: loops, Deadline: time.Now().Add(20 * time.Millisecond)})
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			return addr
		}
		t.Cleanup(func() { s.Close() })
	}
	t.Skip("the queue of a listener does not fill here")
	return addr
}

func TestDialEndsInTime(t *testing.T) {
	addr := full(t)
	before := descriptors(t)
	if _, err := Dial(t.Context(), addr, DialOptions{Loops: loops, Deadline: time.Now().Add(10 * time.Millisecond)}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("no more")
	go cancel(cause)
	if _, err := Dial(ctx, addr, DialOptions{Loops: loops}); !errors.Is(err, cause) {
		t.Error(err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, before there were %d", n, before)
	}
}

func TestDialOptionsAreSet(t *testing.T) {
	fd, addr := listener(t)
	s, err := Dial(t.Context(), addr, DialOptions{
		Loops:  loops,
		Source: netip.MustParseAddrPort("127.0.0.9:0"), Deadline: time.Now().Add(5 * time.Second),
		KeepAlive: true, KeepIdle: 7 * time.Second, KeepIntvl: 3 * time.Second, KeepProbes: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.LocalAddr().Addr().String(); got != "127.0.0.9" {
		t.Error("bound to", got)
	}
	_ = s.Control(func(fd uintptr) {
		for _, o := range []struct {
			name             string
			level, opt, want int
		}{
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 7},
			{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 3},
			{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
			{"IP_BIND_ADDRESS_NO_PORT", unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1},
		} {
			if got, err := unix.GetsockoptInt(int(fd), o.level, o.opt); got != o.want || err != nil {
				t.Errorf("%s is %d, %v; want %d", o.name, got, err, o.want)
			}
		}
	})
	nfd, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	b := wrap(t, nfd, netip.AddrPort{})
	write(t, s, "x") // the dial's deadline is gone with it
	if got := read(t, b, 1); got != "x" {
		t.Error(got)
	}
}
