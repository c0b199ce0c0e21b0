package h2

import (
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

var _ codec.Exchange = (*ClientStream)(nil)

// maxInterim is how many 1xx responses are kept for a reader that does not come.
const maxInterim = 8

// A ClientStream is one exchange on a ClientConn. Its owner begins it, writes and
// reads, and releases it.
type ClientStream struct {
	// User is the owner's own. It is there again when the connection uses the stream
	// for another exchange.
	User any

	s half
	k *ClientConn

	whole bool // the response was complete when its head was read; the owner's

	trailers *header.Headers // set by StartBody, used by ReadBody

	// guarded by the connection's lock
	head, connect bool
	apart         bool
	final         bool // the final response head has come
	got           bool // any head has
	heads         []responseHead
	taken, kept   int // of heads
}

type responseHead struct {
	h    header.Headers
	code int
}

// newStream gives a stream for an exchange. The lock is held.
func (k *ClientConn) newStream() *ClientStream {
	x, ok := k.spare.take()
	if !ok {
		x = &ClientStream{k: k}
	}
	x.s.bind(&k.core, x)
	x.trailers = nil
	x.head, x.connect, x.apart, x.final, x.got, x.whole = false, false, false, false, false, false
	x.taken, x.kept = 0, 0
	return x
}

// put keeps a response head until it is read; it is false when there are too many.
func (x *ClientStream) put(h *header.Headers, code int) bool {
	if x.kept > maxInterim {
		return false
	}
	if x.kept == len(x.heads) {
		x.heads = append(x.heads, responseHead{})
	}
	r := &x.heads[x.kept]
	x.kept++
	x.got = true
	r.code = code
	r.h, *h = *h, r.h
	return true
}

// Release ends the exchange and gives the stream back: it is reset unless both
// messages are whole. The stream must not be used after that. last tells whether
// the connection has no other exchange.
func (x *ClientStream) Release() (last bool) {
	s, c := &x.s, x.s.c
	c.mu.Lock()
	s.waker = nil
	if s.listed {
		c.rst(s, http2.ErrCodeCancel, errReleased)
		c.out.kick()
	}
	s.uncount()
	c.drain(s)
	last = c.active == 0
	x.k.spare.put(x, &c.timer)
	c.unlock()
	return last
}

// ID is the stream's number, 0 before its head was written.
func (x *ClientStream) ID() uint32 { return x.s.id }

// Conn is the connection.
func (x *ClientStream) Conn() *ClientConn { return x.k }

// Begin implements codec.Exchange. Nobody else knows of the stream before its head
// is written.
func (x *ClientStream) Begin(wake func() error) { x.s.waker = wake }

// WriteHeaders implements codec.Exchange. It fails with a *codec.ResetError that
// says Unprocessed when the connection takes no streams any more.
func (x *ClientStream) WriteHeaders(h *header.Headers, end bool) error {
	s, c := &x.s, x.s.c
	method := h.Value(header.Method)
	c.mu.Lock()
	defer c.unlock()
	if err := s.canWrite(); err != nil {
		return err
	}
	if c.err != nil || c.out.err != nil || c.goneAway {
		s.err = &codec.ResetError{Code: uint32(http2.ErrCodeRefusedStream), Unprocessed: true, Reason: reasonTermination}
		return s.err
	}
	x.head, x.connect = string(method) == "HEAD", string(method) == "CONNECT"
	if o := &c.o.Keepalive; o.IdleInterval > 0 && c.table.n == 0 && !c.keep.wait && time.Since(x.k.quiet) > o.IdleInterval {
		c.keep.ping(c, time.Now())
		c.timer.by(c.keep.next)
	}
	c.maxID += 2
	if c.maxID == 2 {
		c.maxID = 1
	}
	s.open(c.maxID)
	c.guard.opened++
	c.out.headers(s.id, h, fields.Request, end)
	s.headAt = c.out.queued
	if end {
		s.finishWriting()
	}
	return nil
}

// WriteBody implements codec.Exchange.
func (x *ClientStream) WriteBody(p []byte, end bool) error {
	_, err := x.s.writeBody(p, end)
	return err
}

// WriteTrailers implements codec.Exchange.
func (x *ClientStream) WriteTrailers(h *header.Headers) error { return x.s.writeTrailers(h) }

// Flush implements codec.Exchange.
func (x *ClientStream) Flush() error { return x.s.flushOut() }

// WriteApart implements codec.Exchange.
func (x *ClientStream) WriteApart() {
	c := x.s.c
	c.mu.Lock()
	x.apart = true
	c.mu.Unlock()
}

// StopWriting implements codec.Exchange.
func (x *ClientStream) StopWriting() { x.s.stopWriting() }

// Sent implements codec.Exchange.
func (x *ClientStream) Sent() bool {
	c := x.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return x.apart || x.s.left()
}

// SetReadDeadline implements codec.Exchange.
func (x *ClientStream) SetReadDeadline(t time.Time) { x.s.setReadDeadline(t) }

// WakeReader implements codec.Exchange.
func (x *ClientStream) WakeReader() {
	c := x.s.c
	c.mu.Lock()
	x.s.woken = true
	x.s.hurry()
	c.mu.Unlock()
}

// ReadHeaders implements codec.Exchange. It fails with *codec.ResetError when the
// stream was reset or its connection broke, *codec.ProtocolError when the response
// broke a rule, os.ErrDeadlineExceeded at the deadline.
func (x *ClientStream) ReadHeaders(h *header.Headers) (code int, err error) {
	s, c := &x.s, x.s.c
	h.Reset()
	c.mu.Lock()
	defer c.unlock()
	c.out.flush(s)
	for {
		switch {
		case x.taken < x.kept:
			r := &x.heads[x.taken]
			*h, r.h = r.h, *h
			if x.taken++; x.taken == x.kept {
				x.taken, x.kept = 0, 0
			}
			x.whole = s.ended && x.final && x.kept == 0
			return r.code, nil
		case s.err != nil:
			return 0, s.err
		}
		if err := s.wait(); err != nil {
			return 0, err
		}
	}
}

// Started implements codec.Exchange.
func (x *ClientStream) Started() bool {
	c := x.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return x.got
}

// StartBody implements codec.Exchange.
func (x *ClientStream) StartBody(t *header.Headers) (end bool) {
	x.trailers = t
	if x.whole { // the reading goroutine is done with it
		return x.s.recv.n == 0 && x.s.finish(t)
	}
	c := x.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !x.s.ended || x.s.recv.n > 0 {
		return false
	}
	return x.s.finish(t)
}

// ReadBody implements codec.Exchange.
func (x *ClientStream) ReadBody() (p []byte, end bool, err error) {
	if s := &x.s; x.whole && s.given == 0 && s.recv.n > 0 {
		p = s.recv.front()
		s.given = len(p)
		return p, len(p) == s.recv.n && s.finish(x.trailers), nil
	}
	return x.s.readBody(x.trailers)
}

// Waits implements codec.Exchange.
func (x *ClientStream) Waits() bool {
	if x.whole {
		return false
	}
	c := x.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return x.s.recv.n <= x.s.given && !x.s.ended && x.s.err == nil
}

// Remaining, Source and Spliced implement codec.Exchange: bodies in frames cannot
// be spliced.
func (x *ClientStream) Remaining() int64 { return 0 }

// Source implements codec.Exchange.
func (x *ClientStream) Source() *netio.Timed { return nil }

// Spliced implements codec.Exchange.
func (x *ClientStream) Spliced(int64) (end bool) { return false }

// Upgrade implements codec.Exchange: the stream itself is the connection. Closing
// it does not release the stream. Begin's wake is not called any more.
func (x *ClientStream) Upgrade() (netio.Conn, []byte) {
	c := x.s.c
	c.mu.Lock()
	x.s.waker, x.s.woken = nil, false
	c.mu.Unlock()
	return &tunnel{s: &x.s}, nil
}
