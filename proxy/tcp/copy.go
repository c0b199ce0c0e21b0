// Package tcp moves bytes between two connections, both ways at once, until both
// directions have ended.
//
// A direction begins with plain copies through memory that is held only while
// there are bytes, and moves into the kernel once it has carried a megabyte in
// large pieces. The end of one direction is passed on at once as a half-close,
// a reset as a reset.
package tcp

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/netio"
)

// A Side is one of the two connections, and what was read of it already.
type Side struct {
	Conn     netio.Conn
	Buffered []byte
	Written  func() // called once Buffered has been written: its memory is free; nil is fine
}

// Options bound a Copy. Zero is no bound.
type Options struct {
	Idle     time.Duration // without a byte either way
	Deadline time.Time     // of the whole

	// AToB and BToA are told of bytes as they go through, each by one goroutine;
	// nil is fine.
	AToB, BToA func(n int)
}

// Result is how a Copy went.
type Result struct {
	AToB, BToA uint64 // bytes that went through
	Reason     Reason
	Err        error // of the side that Reason names; nil for a clean end
}

// Reason is what ended a Copy.
type Reason uint8

// The reasons.
const (
	Finished Reason = iota // both directions ended
	AFailed                // a was reset or could not be written to
	BFailed                // the same of b
	IdleTimeout
	DeadlinePassed
)

// copier is one Copy under way.
type copier struct {
	o      Options
	a, b   netio.Conn
	active atomic.Int64 // when a byte last moved: nanoseconds since start
	start  time.Time

	once   sync.Once
	reason Reason
	err    error

	broken atomic.Bool // a side was gone when it was written to
}

// Copy moves bytes between a and b and returns when both directions are over. It
// closes both connections' writing sides as their sources end; closing the
// connections themselves is left to the caller, unless one failed: then both are
// closed.
func Copy(a, b Side, o Options) Result {
	c := &copier{o: o, a: a.Conn, b: b.Conn, start: time.Now()}
	back := flow{c: c, from: b, to: a, told: o.BToA}
	done := make(chan struct{})
	go func() {
		defer close(done)
		back.run()
	}()
	there := flow{c: c, from: a, to: b, told: o.AToB}
	there.run()
	<-done
	if c.broken.Load() {
		c.close(true)
	}
	return Result{AToB: there.moved, BToA: back.moved, Reason: c.reason, Err: c.err}
}

func (c *copier) touch() { c.active.Store(int64(time.Since(c.start))) }

// until is when a wait that gets nothing has been long enough; zero is never.
func (c *copier) until() time.Time {
	if c.o.Idle == 0 {
		return c.o.Deadline
	}
	at := c.start.Add(time.Duration(c.active.Load()) + c.o.Idle)
	if !c.o.Deadline.IsZero() && c.o.Deadline.Before(at) {
		return c.o.Deadline
	}
	return at
}

// expired tells whether a bound of the whole has passed, whatever direction it
// was noticed in.
func (c *copier) expired() bool {
	at := c.until()
	return !at.IsZero() && !time.Now().Before(at)
}

// late ends both directions because a bound of the whole has passed.
func (c *copier) late() {
	r := IdleTimeout
	if d := c.o.Deadline; !d.IsZero() && !time.Now().Before(d) {
		r = DeadlinePassed
	}
	c.finish(r, nil)
}

// sourceEnded handles the end of a source: a half-close is passed on, anything
// else ends both directions.
func (c *copier) sourceEnded(from, to netio.Conn, err error) {
	switch {
	case err == io.EOF:
		// It fails when the other side is gone, which its own direction notices.
		_ = to.CloseWrite()
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.late()
	default:
		c.finish(c.which(from), err)
	}
}

// writeFailed handles a side that cannot be written to. When it is gone, what it
// sent before is still to be read: the other direction ends by itself, after the
// last byte of that, and only then the reset is passed on.
func (c *copier) writeFailed(to netio.Conn, err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.late()
	case isReset(err):
		c.once.Do(func() { c.reason, c.err = c.which(to), err })
		c.broken.Store(true)
	default:
		c.finish(c.which(to), err)
	}
}

func (c *copier) which(x netio.Conn) Reason {
	if x == c.a {
		return AFailed
	}
	return BFailed
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// finish records the first reason and closes both connections, which ends the
// other direction; what fails there is a consequence.
func (c *copier) finish(r Reason, err error) {
	c.once.Do(func() { c.reason, c.err = r, err })
	c.close(isReset(err))
}

func (c *copier) close(reset bool) {
	for _, x := range [2]netio.Conn{c.a, c.b} {
		if reset {
			_ = x.Reset()
		} else {
			_ = x.Close()
		}
	}
}

const (
	// large is from which size on a read counts as a piece of a bulk transfer.
	large = buffer.Block / 2
	// spliceAfter is how many bytes a direction carries in large reads, one after
	// the other, before it is worth a pipe.
	spliceAfter = 1 << 20
	// spliceIdle is how long a direction may be quiet and keep its pipe.
	spliceIdle = time.Second
)
