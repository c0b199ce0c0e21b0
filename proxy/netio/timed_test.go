package netio

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
)

func TestTimedReadEndsAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(0)
		defer a.Close()
		defer b.Close()
		start := time.Now()
		r := Timed{C: a}
		var buf buffer.Buf
		// The first bound arms a timer; a later one must not be cut short by it, and
		// an earlier one must move it.
		for _, d := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Second} {
			from := time.Now()
			if _, err := r.ReadBuf(&buf, from.Add(d)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if got := time.Since(from); got != d {
				t.Errorf("waited %v, want %v", got, d)
			}
		}
		// Without a bound the old timer wakes nobody.
		go func() {
			pass(time.Hour)
			_, _ = b.Write([]byte("x"))
		}()
		if n, err := r.Read(make([]byte, 4), time.Time{}); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if got := time.Since(start); got != time.Hour+75*time.Second {
			t.Errorf("after %v", got)
		}
	})
}

// armed counts how often the poller's timers are touched.
type armed struct {
	Conn
	r, w int
}

func (a *armed) SetReadDeadline(t time.Time) error  { a.r++; return a.Conn.SetReadDeadline(t) }
func (a *armed) SetWriteDeadline(t time.Time) error { a.w++; return a.Conn.SetWriteDeadline(t) }

func TestTimersAreTouchedOncePerBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(0)
		defer a.Close()
		defer b.Close()
		ca, cb := &armed{Conn: a}, &armed{Conn: b}
		w, r := Timed{C: ca}, Timed{C: cb}
		var buf buffer.Buf
		const every, idle = 10 * time.Millisecond, time.Minute
		for range 12_000 { // two minutes of traffic
			if _, err := w.WriteUntil([]byte("x"), nil, time.Now().Add(idle)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.ReadBuf(&buf, time.Now().Add(idle)); err != nil {
				t.Fatal(err)
			}
			buf.Discard()
			pass(every)
		}
		if cb.r > 6 || ca.w > 6 {
			t.Errorf("%d read and %d write timers for two minutes, each a minute long", cb.r, ca.w)
		}
	})
}

func TestTickWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(0)
		defer a.Close()
		defer b.Close()
		n, stop := 0, errors.New("enough")
		r := Timed{C: a, Tick: time.Second, Wake: func() error {
			if n++; n == 5 {
				return stop
			}
			return nil
		}}
		start := time.Now()
		if _, err := r.Read(make([]byte, 1), time.Time{}); err != stop {
			t.Error(err)
		}
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("after %v", got)
		}
	})
}

func TestWritesWaitAsLongAsTheyMay(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := Pipe(10)
			defer a.Close()
			defer b.Close()
			w := Timed{C: a}
			if err := w.GuardWrites(time.Minute); err != nil {
				t.Fatal(err)
			}
			n, err := w.Writev(make([]byte, 30), nil, time.Minute)
			if n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d, %v", n, err)
			}
		})
	})
	t.Run("a slow reader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := Pipe(10)
			defer a.Close()
			defer b.Close()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				for range 30 {
					pass(50 * time.Second)
					_, _ = io.ReadFull(b, make([]byte, 10))
				}
			})
			w := Timed{C: a}
			if err := w.GuardWrites(time.Minute); err != nil {
				t.Fatal(err)
			}
			if n, err := w.Writev(make([]byte, 200), make([]byte, 100), time.Minute); n != 300 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	})
	t.Run("until", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := Pipe(10)
			defer a.Close()
			defer b.Close()
			start, w := time.Now(), Timed{C: a}
			n, err := w.WriteUntil(make([]byte, 10), nil, start.Add(time.Second))
			if n != 10 || err != nil {
				t.Fatal(n, err)
			}
			// A timer for an earlier moment is armed; it must not end this one.
			n, err = w.WriteUntil(make([]byte, 5), nil, start.Add(time.Minute))
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
				t.Errorf("%d, %v after %v", n, err, time.Since(start))
			}
			go func() { pass(time.Hour); _, _ = io.ReadFull(b, make([]byte, 10)) }()
			if n, err := w.WriteUntil(make([]byte, 5), nil, time.Time{}); n != 5 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	})
}
