package listener

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// The pause after an accept for which descriptors or memory were missing: a
// connection that ends makes room long before the longest.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = 500 * time.Millisecond
)

// accept takes connections from one socket until StopAccepting.
func (l *Listener) accept(s *socket) {
	defer close(s.done)
	pause := time.Duration(0)
	for {
		fd, from, err := s.in.Accept()
		switch {
		case err == nil:
			pause = 0
			l.admit(s, fd, from)
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			l.takeRest(s)
			return
		case errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EPROTO), errors.Is(err, unix.ENETDOWN),
			errors.Is(err, unix.EHOSTDOWN), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
			// The connection was gone before it was accepted (accept(2)).
		default:
			l.stats.AcceptErrors.Inc()
			if n, ok := l.errors.allow(time.Now()); ok {
				l.log.Warn("accept", zap.Stringer("address", s.addr), zap.Error(err), zap.Uint64("dropped_lines", n))
			}
			pause = min(max(2*pause, shortestPause), longestPause)
			s.pausing.Store(true)
			goOn := l.wait(pause)
			s.pausing.Store(false)
			if !goOn {
				return
			}
		}
	}
}

// wait waits; false says that accepting stopped meanwhile.
func (l *Listener) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.stopped:
		return false
	}
}

// takeRest accepts what waits in a socket that is about to be closed: those
// clients think that they are connected.
func (l *Listener) takeRest(s *socket) {
	for {
		fd, from, err := s.in.AcceptNow()
		if err != nil {
			return
		}
		l.admit(s, fd, from)
	}
}

// admit starts a connection's goroutine.
func (l *Listener) admit(s *socket, fd int, from netip.AddrPort) {
	if l.full() {
		_ = unix.Close(fd)
		l.stats.CxOverflow.Inc()
		return
	}
	limit := l.limit()
	if !limit.take() {
		_ = unix.Close(fd)
		l.stats.GlobalCxOverflow.Inc()
		return
	}
	local := s.addr
	if s.wildcard {
		local = netip.AddrPort{} // asked for when first needed
	}
	loop := l.o.Loops.Balance(s.in.Loop())
	io, err := l.o.Loops.NewSocket(fd, local, from, loop)
	if err != nil {
		l.o.Loops.Ended(loop)
		l.stats.AcceptErrors.Inc()
		limit.release()
		return
	}
	l.start(s, io, limit)
}

// limit is what bounds this listener's connections together with those of others; nil when it ignores that.
func (l *Listener) limit() *Limit {
	if l.current.Load().m.IgnoreLimit {
		return nil
	}
	return l.o.Limit
}
