package breaker

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pass lets fake time pass.
func pass(d time.Duration) { <-time.NewTimer(d).C }

// one passes one exchange through the breaker, if it may.
func one(t *testing.T, b *Breaker, failed bool) bool {
	t.Helper()
	ready := b.Ready(time.Now())
	tok, err := b.Allow()
	if ready != (err == nil) {
		t.Errorf("Ready %v, Allow %v", ready, err)
	}
	tok.Done(failed, true)
	return err == nil
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []State
		b := New(&cluster.Breaker{Consecutive: 3, Window: 10 * time.Second, OpenFor: 5 * time.Second, HalfOpenMax: 2},
			func(_, to State) { changes = append(changes, to) })
		one(t, b, true)
		one(t, b, true)
		one(t, b, false)
		one(t, b, true)
		one(t, b, true)
		if !b.Closed() {
			t.Fatal("open after two in a row")
		}
		one(t, b, true)
		if b.State() != Open || one(t, b, false) {
			t.Fatal("not open after three in a row")
		}
		pass(5*time.Second + time.Millisecond)

		// Half-open: two probes at once, no third; one that failed opens it again.
		p1, err1 := b.Allow()
		p2, err2 := b.Allow()
		if err1 != nil || err2 != nil || b.State() != HalfOpen {
			t.Fatal("two probes must pass", err1, err2)
		}
		if b.Ready(time.Now()) || one(t, b, false) {
			t.Error("a third probe passed")
		}
		p1.Done(false, true)
		p2.Done(true, true)
		if b.State() != Open {
			t.Error("a failed probe must open it again")
		}
		pass(5*time.Second + time.Millisecond)

		// A probe from which nothing was learned gives its place back.
		p1, _ = b.Allow()
		p1.Done(false, false)
		for range 2 {
			if !one(t, b, false) {
				t.Error("a probe was refused")
			}
		}
		if b.State() != Closed {
			t.Errorf("%v after two good probes", b.State())
		}
		want := []State{Open, HalfOpen, Open, HalfOpen, Closed}
		if len(changes) != len(want) {
			t.Fatalf("changes %v, want %v", changes, want)
		}
		for i := range want {
			if changes[i] != want[i] {
				t.Errorf("changes %v, want %v", changes, want)
			}
		}
	})
}

func TestRatioInARollingWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&cluster.Breaker{FailureRatio: 0.5, MinRequests: 10, Window: 10 * time.Second, OpenFor: time.Second, HalfOpenMax: 1}, nil)
		for range 5 {
			one(t, b, true)
		}
		pass(11 * time.Second) // forgotten
		for range 4 {
			one(t, b, true)
		}
		for range 5 {
			one(t, b, false)
		}
		if !b.Closed() {
			t.Fatal("open at 4 of 9")
		}
		one(t, b, true)
		if b.State() != Open {
			t.Error("not open at 5 of 10")
		}
	})
}
