package netio

import (
	"errors"
	"os"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
)

// A Timed reads and writes a Conn within time bounds while touching the poller's
// timer as seldom as it can: a timer that is armed for a moment before the bound
// is left alone, and when it fires early it is armed again. On a busy connection
// that is one arming each Tick or bound, not one a request.
//
// Reading and writing may be done by two goroutines.
type Timed struct {
	C Conn
	// Tick, when not zero, is how often at the latest Wake is called while a read
	// waits. Set before the first read.
	Tick time.Duration
	// Wake is called when a read was woken before its bound; its error ends the
	// read. nil does nothing.
	Wake func() error

	rarmed, warmed time.Time
}

// ReadBuf is Conn.ReadBuf until a moment; zero is no bound. It fails with
// os.ErrDeadlineExceeded when that moment passes.
func (t *Timed) ReadBuf(b *buffer.Buf, until time.Time) (int, error) {
	for {
		if err := t.armRead(until); err != nil {
			return 0, err
		}
		n, err := t.C.ReadBuf(b)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := t.woken(until); err != nil {
			return 0, err
		}
	}
}

// Read is Conn.Read until a moment.
func (t *Timed) Read(p []byte, until time.Time) (int, error) {
	for {
		if err := t.armRead(until); err != nil {
			return 0, err
		}
		n, err := t.C.Read(p)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := t.woken(until); err != nil {
			return 0, err
		}
	}
}

// armRead makes sure that the poller wakes the read no later than it must.
func (t *Timed) armRead(until time.Time) error {
	switch {
	case t.rarmed.IsZero():
		if until.IsZero() && t.Tick == 0 {
			return nil
		}
	case until.IsZero() || !t.rarmed.After(until):
		return nil
	}
	at := until
	if t.Tick > 0 {
		if tick := time.Now().Add(t.Tick); at.IsZero() || tick.Before(at) {
			at = tick
		}
	}
	t.rarmed = at
	return t.C.SetReadDeadline(at)
}

// armWrite is armRead for the writing side.
func (t *Timed) armWrite(until time.Time) error {
	if t.warmed.IsZero() && until.IsZero() || !t.warmed.IsZero() && (until.IsZero() || !t.warmed.After(until)) {
		return nil
	}
	t.warmed = until
	return t.C.SetWriteDeadline(until)
}

// woken decides what a read does that hit the poller's deadline.
func (t *Timed) woken(until time.Time) error {
	if !until.IsZero() && !time.Now().Before(until) {
		return os.ErrDeadlineExceeded
	}
	if t.Wake != nil {
		if err := t.Wake(); err != nil {
			return err
		}
	}
	// Whatever fired must not fire again at once; armRead sets the next.
	t.rarmed = time.Time{}
	if until.IsZero() && t.Tick == 0 {
		return t.C.SetReadDeadline(time.Time{})
	}
	return nil
}

// Writev is Conn.Writev that fails with os.ErrDeadlineExceeded when the peer
// takes nothing for the given time; zero waits for ever.
func (t *Timed) Writev(a, b []byte, idle time.Duration) (int, error) {
	done := 0
	var until time.Time
	for {
		n, err := t.C.Writev(a, b)
		done += n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
		now := time.Now()
		if n > 0 || until.IsZero() {
			until = now.Add(idle)
		}
		if idle > 0 && !now.Before(until) {
			return done, err
		}
		k := min(n, len(a))
		a, b = a[k:], b[n-k:]
		t.warmed = time.Time{}
		if idle > 0 {
			t.warmed = until
		}
		if err := t.C.SetWriteDeadline(t.warmed); err != nil {
			return done, err
		}
	}
}

// WriteUntil is Conn.Writev until a moment; zero is no bound. It fails with
// os.ErrDeadlineExceeded when that moment passes, and also before it when a timer
// set for an earlier one was due and some bytes had gone: the caller, who learns of
// them, goes on with the rest.
func (t *Timed) WriteUntil(a, b []byte, until time.Time) (int, error) {
	for {
		if err := t.armWrite(until); err != nil {
			return 0, err
		}
		n, err := t.C.Writev(a, b)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if !until.IsZero() && !time.Now().Before(until) {
			return n, os.ErrDeadlineExceeded
		}
		if err := t.rested(until); err != nil || n > 0 {
			return n, errors.Join(err, os.ErrDeadlineExceeded)
		}
	}
}

// rested forgets a write timer that was due before its time.
func (t *Timed) rested(until time.Time) error {
	t.warmed = time.Time{}
	if until.IsZero() {
		return t.C.SetWriteDeadline(time.Time{})
	}
	return nil
}

// GuardWrites arms the write timer once, so that a Writev that stalls is woken.
// It is cheap to call before every write: most calls do nothing.
func (t *Timed) GuardWrites(idle time.Duration) error {
	if idle == 0 || !t.warmed.IsZero() {
		return nil
	}
	t.warmed = time.Now().Add(idle)
	return t.C.SetWriteDeadline(t.warmed)
}
