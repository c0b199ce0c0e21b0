package httprig

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/netio"
)

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve hands accepted connections to the filter until ln closes and every
// connection is over.
func serve(ln *net.TCPListener, f filters.TerminalFilter) {
	var open []*conn.Conn
	done := make(chan struct{})
	for {
		c, err := ln.AcceptTCP()
		if err != nil {
			break
		}
		k := conn.New(socketOf(c))
		k.Info.ID = uint64(len(open) + 1)
		k.Info.Start = time.Now()
		k.Info.Source = c.RemoteAddr().(*net.TCPAddr).AddrPort()
		k.Info.DirectSource = k.Info.Source
		k.Info.Dest = c.LocalAddr().(*net.TCPAddr).AddrPort()
		k.Info.Local = k.Info.Dest
		c.Close()
		open = append(open, k)
		go func() {
			_ = f.ServeConn(k)
			k.Close()
			done <- struct{}{}
		}()
	}
	for _, k := range open {
		k.Close()
	}
	for range open {
		<-done
	}
}

// socketOf takes a copy of the descriptor for our own driver.
func socketOf(c *net.TCPConn) *netio.Socket {
	raw, err := c.SyscallConn()
	if err != nil {
		panic(err)
	}
	fd := -1
	if err := raw.Control(func(h uintptr) { fd, err = unix.FcntlInt(h, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		panic(err)
	}
	s, err := netio.NewSocket(fd, netip.AddrPort{}, c.RemoteAddr().(*net.TCPAddr).AddrPort())
	if err != nil {
		panic(err)
	}
	return s
}
