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
}

// Options bound a Copy. Zero is no bound.
type Options struct {
	Idle     time.Duration // without a byte either way
	Deadline time.Time     // of the whole
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
	Finished   Reason = iota // both directions ended
	AFailed                  // a was reset or could not be written to
	BFailed                  // the same of b
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
}

// Copy moves bytes between a and b and returns when both directions are over. It
// closes both connections' writing sides as their sources end; closing the
// connections themselves is left to the caller, unless one failed: then both are
// closed.
func Copy(a, b Side, o Options) Result {
	c := &copier{o: o, a: a.Conn, b: b.Conn, start: time.Now()}
	var res Result
	done := make(chan struct{})
	go func() {
		defer close(done)
		res.BToA = c.direction(b, a)
	}()
	res.AToB = c.direction(a, b)
	<-done
	res.Reason, res.Err = c.reason, c.err
	return res
}

const (
	// spliceAfter is how many bytes a direction carries in full reads, one after
	// the other, before it is worth a pipe.
	spliceAfter = 1 << 20
	// spliceIdle is how long a direction may be quiet and keep its pipe.
	spliceIdle = time.Second
)

// direction moves bytes one way.
func (c *copier) direction(from, to Side) (moved uint64) {
	src, dst := &netio.Timed{C: from.Conn}, &netio.Timed{C: to.Conn}
	if len(from.Buffered) > 0 {
		n, err := dst.Writev(from.Buffered, nil, c.o.Idle)
		moved += uint64(n)
		c.touch()
		if err != nil {
			c.failed(to.Conn, err)
			return moved
		}
	}
	canSplice := from.Conn.Socket() != nil && to.Conn.Socket() != nil
	progress := func(n int) {
		moved += uint64(n)
		c.touch()
	}
	var buf buffer.Buf
	defer buf.Discard()
	streak := 0
	for {
		n, err := src.ReadBuf(&buf, c.until())
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && !c.expired() {
				continue
			}
			c.ended(from.Conn, to.Conn, err)
			return moved
		}
		c.touch()
		w, err := c.write(dst, buf.Bytes())
		moved += uint64(w)
		if err != nil {
			c.failed(to.Conn, err)
			return moved
		}
		buf.Consume(buf.Len())
		buf.Release()
		if n < buffer.Block {
			streak = 0
			continue
		}
		if streak += n; !canSplice || streak < spliceAfter {
			continue
		}
		streak = 0
		_, err = netio.Splice(dst, src, -1, spliceIdle, c.o.Deadline, progress)
		var se *netio.SpliceError
		switch {
		case err == nil:
			c.ended(from.Conn, to.Conn, io.EOF)
			return moved
		case errors.As(err, &se) && se.Write:
			c.failed(to.Conn, se.Err)
			return moved
		case !errors.Is(err, os.ErrDeadlineExceeded):
			c.ended(from.Conn, to.Conn, err)
			return moved
		}
	}
}

// write writes all of p; a peer that takes nothing is waited for as long as the
// other direction is alive.
func (c *copier) write(dst *netio.Timed, p []byte) (done int, err error) {
	for {
		if err := dst.GuardWrites(c.o.Idle); err != nil {
			return done, err
		}
		n, err := dst.Writev(p, nil, c.o.Idle)
		done += n
		if n > 0 {
			c.touch()
		}
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.expired() {
			return done, err
		}
		p = p[n:]
	}
}

func (c *copier) touch() { c.active.Store(int64(time.Since(c.start))) }

// until is when a read that gets nothing has waited long enough.
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

// ended handles the end of a source: a half-close is passed on, anything else
// ends both directions.
func (c *copier) ended(from, to netio.Conn, err error) {
	if err == io.EOF {
		// It fails when the other side is gone, which its own direction notices.
		_ = to.CloseWrite()
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r := IdleTimeout
		if d := c.o.Deadline; !d.IsZero() && !time.Now().Before(d) {
			r = DeadlinePassed
		}
		c.finish(r, nil, false)
		return
	}
	c.failed(from, err)
}

// failed ends both directions because one connection broke; a reset is passed
// on as a reset.
func (c *copier) failed(which netio.Conn, err error) {
	r := BFailed
	if which == c.a {
		r = AFailed
	}
	c.finish(r, err, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// finish records the first reason and closes both connections, which ends the
// other direction; what fails there is a consequence.
func (c *copier) finish(r Reason, err error, reset bool) {
	c.once.Do(func() {
		c.reason, c.err = r, err
		for _, x := range []netio.Conn{c.a, c.b} {
			if reset {
				_ = x.Reset()
			} else {
				_ = x.Close()
			}
		}
	})
}
