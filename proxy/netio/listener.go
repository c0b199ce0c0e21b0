package netio

import (
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Listener is a listening socket; one goroutine accepts from it.
type Listener struct {
	d       driver
	loop    int
	answers atomic.Uint64 // how often the accepting goroutine looked

	// owned by the accepting goroutine
	try  func(fd uintptr) bool
	fd   int
	from netip.AddrPort
	err  error
}

// NewListener takes ownership of a listening, non-blocking socket and waits for
// its connections on a loop, or on the runtime's poller when l is nil.
func (l *Loops) NewListener(fd, loop int) (*Listener, error) {
	ln := new(Listener)
	ln.try = ln.tryAccept
	if l == nil {
		d, err := newRuntimePoller(fd)
		if err != nil {
			return nil, err
		}
		ln.d = d
		return ln, nil
	}
	ln.loop = loop % len(l.loops)
	d, err := l.add(ln.loop, fd, nil)
	if err != nil {
		return nil, err
	}
	ln.d = d
	return ln, nil
}

// Accept waits for a connection. It fails with os.ErrDeadlineExceeded after Wake
// and os.ErrClosed after Close; other errors are those of accept(2). from is invalid
// on a unix socket.
func (ln *Listener) Accept() (fd int, from netip.AddrPort, err error) {
	if err := ln.d.Read(ln.try, nil); err != nil {
		return -1, netip.AddrPort{}, err
	}
	if ln.err != nil {
		return -1, netip.AddrPort{}, os.NewSyscallError("accept4", ln.err)
	}
	return ln.fd, ln.from, nil
}

// AcceptNow takes a connection that waits; the error is unix.EAGAIN when none does.
func (ln *Listener) AcceptNow() (fd int, from netip.AddrPort, err error) {
	cerr := ln.d.Control(func(lfd uintptr) { fd, from, err = Accept(lfd) })
	if cerr != nil {
		return -1, netip.AddrPort{}, cerr
	}
	return fd, from, err
}

func (ln *Listener) tryAccept(lfd uintptr) bool {
	ln.fd, ln.from, ln.err = Accept(lfd)
	ln.answers.Add(1)
	return ln.err != unix.EAGAIN
}

// Loop is the number of the loop that it waits on.
func (ln *Listener) Loop() int { return ln.loop }

// Wake ends Accept, now and from now on.
func (ln *Listener) Wake() { _ = ln.d.SetReadDeadline(time.Unix(1, 0)) }

// Close closes the socket.
func (ln *Listener) Close() error { return ln.d.Close() }
