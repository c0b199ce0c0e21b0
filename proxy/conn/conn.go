// Package conn is the downstream connection: its bytes, what was peeked but not
// consumed, what is known about it, and whether it is asked to drain.
package conn

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
)

// A Conn is a downstream connection on its way through a filter chain. One
// goroutine serves it; StartDrain and the methods of the embedded netio.Conn that
// say so may be called from others.
type Conn struct {
	netio.Conn
	In   buffer.Buf // read but not yet consumed: whoever serves the connection begins here
	Info info.Conn
	Loop int // the number of the event loop that wakes it (netio.Socket.Loop)
	// Namespace is where connections to upstream hosts are made for it; nil is here.
	Namespace *netio.Namespace
	// Context ends when everything done for the connection must, at the latest; nil
	// never does.
	Context context.Context
	// Ahead is an upstream connection that was opened while the client was waited for; nil is none. Who serves
	// the connection takes it or leaves it.
	Ahead Ahead
	// Preamble is what was said to the client in the server's name; nil is nothing. Who takes the bytes to a server says it
	// there first.
	Preamble *Preamble
	// NameCheck judges a host that a request names, with or without port, by the connection's destination; deny says that the
	// request must not go on. final asks for what is known by now, without waiting. nil where names are not judged.
	NameCheck func(host []byte, final bool) (v info.NameVerdict, deny bool)
	// Misdirected tells whether a request for a host, with or without a port, belongs to
	// another filter chain of the listener (421); nil where none can.
	Misdirected func(host []byte) bool

	draining atomic.Bool // it is to end with its next response
	ending   atomic.Bool // … or when there is none to come
	idle     atomic.Bool
	told     atomic.Bool // whoever serves it hears of a drain at any time
	killed   atomic.Bool // by an operator
	stage    atomic.Uint32
	cancel   atomic.Pointer[func(stream uint64) bool]
}

// A Stage is how far a connection is on its way; what Info says of the stages before it no longer changes, and may be read from other
// goroutines.
type Stage uint32

// The stages.
const (
	Accepted  Stage = iota // ID, Start, DirectSource, Local and Listener are known
	Chosen                 // what was sniffed, the addresses and the filter chain as well
	Secured                // TLS as well
	Connected              // the upstream of a connection that is passed on as well
)

// Reach says that the connection came to a stage.
func (c *Conn) Reach(s Stage) { c.stage.Store(uint32(s)) }

// Stage gives the last that Reach said; it may be called from any goroutine.
func (c *Conn) Stage() Stage { return Stage(c.stage.Load()) }

// Kill says that an operator ends the connection, or a stream of it, which the caller then does.
func (c *Conn) Kill() { c.killed.Store(true) }

// Killed tells whether an operator ended the connection or a stream of it.
func (c *Conn) Killed() bool { return c.killed.Load() }

// OnCancel sets what ends one stream of the connection (info.Stream.ID) and tells whether it was there; nil: streams cannot be ended
// apart.
func (c *Conn) OnCancel(f func(stream uint64) bool) {
	if f == nil {
		c.cancel.Store(nil)
		return
	}
	c.cancel.Store(&f)
}

// Cancel ends a stream; able says that the connection can, found that the stream was there. It may be called from any goroutine.
func (c *Conn) Cancel(stream uint64) (able, found bool) {
	f := c.cancel.Load()
	if f == nil {
		return false, false
	}
	return true, (*f)(stream)
}

// An Ahead is an upstream connection that is opened while it is not known yet which filter chain serves
// the downstream one. Its methods are called by the goroutine that serves that one.
type Ahead interface {
	// Spoke tells whether the server has said something, or has ended the connection.
	Spoke() bool
	// Said is what it said: after Settle, until the connection is taken.
	Said() []byte
	// Settle ends the listening to the server. What wakes the client's side when the server speaks does so
	// no more once Settle has returned. It does not wait for a dial under way.
	Settle()
	// Taken tells whether the connection serves the downstream one.
	Taken() bool
	// Discard closes the connection unless it was taken. It may be called again.
	Discard()
}

// A Preamble is an exchange that is over with the client and has yet to be had with the server: what the client sent, and the
// one byte that it was answered. A server that answers otherwise cannot have the connection.
type Preamble struct {
	Send    []byte
	Want    byte
	Refused string // CONNECTION_TERMINATION_DETAILS of a connection that the server does not want so
}

// New makes a connection of accepted bytes.
func New(io netio.Conn) *Conn { return &Conn{Conn: io} }

// Linger ends our direction and throws away what the peer still sends, for a time:
// closing with unread bytes would reset the connection, and what was sent to it with
// it (RFC 9112 §9.6). The caller closes afterwards.
func (c *Conn) Linger(d time.Duration) {
	if d <= 0 || c.CloseWrite() != nil {
		return
	}
	c.Discard(d)
}

// Discard reads and throws away until the peer ends, the time is up, or the
// connection drains.
func (c *Conn) Discard(d time.Duration) {
	if c.SetReadDeadline(time.Now().Add(d)) != nil {
		return
	}
	if c.SetIdle(true) {
		return
	}
	defer c.SetIdle(false)
	var b [4096]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}

// Draining tells whether the connection should end at the next good moment.
func (c *Conn) Draining() bool { return c.draining.Load() }

// StartDrain asks the connection to end at the next good moment, and wakes it
// when it is idle.
func (c *Conn) StartDrain() {
	c.draining.Store(true)
	c.ending.Store(true)
	if c.idle.Load() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// EndSoon asks the connection to end with its next response. When it is idle it
// stays so, unless whoever serves it can say goodbye without losing a request
// (Tell).
func (c *Conn) EndSoon() {
	c.draining.Store(true)
	if c.told.Load() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// Ending tells whether the connection should end even between requests.
func (c *Conn) Ending() bool { return c.ending.Load() }

// Tell says that every drain is to wake who reads the connection; it returns
// Draining, so that none can be missed.
func (c *Conn) Tell() (draining bool) {
	c.told.Store(true)
	return c.draining.Load()
}

// SetIdle says that the connection is between requests; it returns Ending, so
// that no StartDrain can be missed.
func (c *Conn) SetIdle(idle bool) (ending bool) {
	c.idle.Store(idle)
	return c.ending.Load()
}
