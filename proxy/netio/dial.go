package netio

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// DialOptions say how a connection is opened.
type DialOptions struct {
	Source      netip.AddrPort // bind to it; an invalid address leaves the choice to the kernel, port 0 too
	Transparent bool           // Source is not ours: IP_TRANSPARENT
	Freebind    bool
	Mark        uint32    // SO_MARK; 0 none
	Deadline    time.Time // zero: none but the system's
	KeepIdle    time.Duration
	KeepIntvl   time.Duration
	KeepProbes  int
	KeepAlive   bool
	Namespace   *Namespace // where the socket is opened; nil: here
	Loop        int        // which of Loops
	Loops       *Loops     // where the socket waits; nil: the runtime's poller
}

// Dial opens a TCP connection. The error says what was dialled; it is
// os.ErrDeadlineExceeded when the deadline passed, or holds the system's error.
func Dial(ctx context.Context, to netip.AddrPort, o DialOptions) (*Socket, error) {
	s, err := dial(ctx, to, o)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", to, err)
	}
	return s, nil
}

func dial(ctx context.Context, to netip.AddrPort, o DialOptions) (*Socket, error) {
	family, sa := sockaddr(to)
	fd, err := o.Namespace.Socket(family, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	if err := prepare(fd, family, o); err != nil {
		unix.Close(fd)
		return nil, err
	}
	err = unix.Connect(fd, sa)
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	s, err2 := o.Loops.NewSocket(fd, netip.AddrPort{}, to, o.Loop)
	if err2 != nil {
		return nil, err2
	}
	if err == nil {
		return s, nil
	}
	if err := s.awaitConnect(ctx, o.Deadline); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// prepare sets the options that must come before connect.
func prepare(fd, family int, o DialOptions) error {
	set := func(name string, level, opt, v int) error {
		if err := unix.SetsockoptInt(fd, level, opt, v); err != nil {
			return os.NewSyscallError("setsockopt "+name, err)
		}
		return nil
	}
	// Messages are written whole, so Nagle's algorithm can only delay them.
	if err := set("TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if o.Mark != 0 {
		if err := set("SO_MARK", unix.SOL_SOCKET, unix.SO_MARK, int(o.Mark)); err != nil {
			return fmt.Errorf("%w (is CAP_NET_ADMIN missing?)", err)
		}
	}
	if o.KeepAlive {
		if err := keepAlive(set, o); err != nil {
			return err
		}
	}
	if !o.Source.Addr().IsValid() {
		return nil
	}
	level, transparent, freebind := unix.SOL_IP, unix.IP_TRANSPARENT, unix.IP_FREEBIND
	if family == unix.AF_INET6 {
		level, transparent, freebind = unix.SOL_IPV6, unix.IPV6_TRANSPARENT, unix.IPV6_FREEBIND
	}
	if o.Transparent {
		if err := set("IP_TRANSPARENT", level, transparent, 1); err != nil {
			return fmt.Errorf("%w (is CAP_NET_ADMIN missing?)", err)
		}
	}
	if o.Freebind {
		if err := set("IP_FREEBIND", level, freebind, 1); err != nil {
			return err
		}
	}
	if o.Source.Port() == 0 {
		// The port is then chosen at connect, by the whole 4-tuple: no search for a
		// port free for every destination.
		if err := set("IP_BIND_ADDRESS_NO_PORT", unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return err
		}
	} else if err := set("SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	_, sa := sockaddr(o.Source)
	if err := unix.Bind(fd, sa); err != nil {
		return fmt.Errorf("bind %s: %w", o.Source, os.NewSyscallError("bind", err))
	}
	return nil
}

func keepAlive(set func(string, int, int, int) error, o DialOptions) error {
	if err := set("SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	for _, v := range []struct {
		name string
		opt  int
		n    int
	}{
		{"TCP_KEEPIDLE", unix.TCP_KEEPIDLE, int(o.KeepIdle / time.Second)},
		{"TCP_KEEPINTVL", unix.TCP_KEEPINTVL, int(o.KeepIntvl / time.Second)},
		{"TCP_KEEPCNT", unix.TCP_KEEPCNT, o.KeepProbes},
	} {
		if v.n > 0 {
			if err := set(v.name, unix.IPPROTO_TCP, v.opt, v.n); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitConnect waits for the handshake. It asks before it waits: the poller
// forgets, at the beginning of RawConn.Write, what it saw before.
func (s *Socket) awaitConnect(ctx context.Context, deadline time.Time) error {
	if !deadline.IsZero() {
		if err := s.SetWriteDeadline(deadline); err != nil {
			return err
		}
	}
	done := ctx.Done()
	stop := s.interruptWrite(done)
	var result error
	if d, ok := s.d.(*loopFD); ok {
		// A loop forgets nothing: wait first.
		if err := d.w.await(); err != nil {
			stop()
			return connectFailure(ctx, err)
		}
	}
	err := s.d.Write(func(fd uintptr) bool {
		if _, err := unix.Getpeername(int(fd)); err == nil {
			return true
		}
		e, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			result = os.NewSyscallError("getsockopt", err)
		case e != 0:
			result = os.NewSyscallError("connect", unix.Errno(e))
		default:
			return false // neither connected nor failed yet
		}
		return true
	})
	stop()
	if err != nil {
		return connectFailure(ctx, err)
	}
	if result == nil && (done != nil || !deadline.IsZero()) {
		return s.SetWriteDeadline(time.Time{})
	}
	return result
}

// connectFailure is why a wait for a handshake ended: the context's reason when
// that has ended.
func connectFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// interruptWrite ends a write when done is closed, until stop is called; then it
// never does again. (No context is derived from the caller's, since that one may
// be a pooled stream: package context asks its parents for Done and Err from
// goroutines of its own, which may come late, in the stream's next life.)
func (s *Socket) interruptWrite(done <-chan struct{}) (stop func()) {
	if done == nil {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-done:
			_ = s.SetWriteDeadline(time.Unix(1, 0))
		case <-quit:
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}
