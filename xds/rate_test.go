package xds

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBucket(t *testing.T) {
	start := time.Unix(0, 0)
	b := newBucket(Rate{Burst: 2, PerSecond: 4}, start)
	f := func(at, want time.Duration) {
		t.Helper()
		if got := b.take(start.Add(at)); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
	f(0, 0)
	f(0, 0)
	f(0, 250*time.Millisecond)
	f(100*time.Millisecond, 150*time.Millisecond)
	f(250*time.Millisecond, 0)
	f(250*time.Millisecond, 250*time.Millisecond)
	f(time.Hour, 0) // no more than the burst is saved
	f(time.Hour, 0)
	f(time.Hour, 250*time.Millisecond)
	f(0, 250*time.Millisecond) // a clock that goes back
	b = newBucket(Rate{}, start)
	for range 1000 {
		f(0, 0)
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream(t.Context(), &Stats{})
		defer st.cancel()
		b := newBucket(Rate{Burst: 1, PerSecond: 1}, time.Now())
		start := time.Now()
		st.pace(&b, 3)
		done := make(chan struct{})
		go func() { st.pace(&b, 2); close(done) }()
		synctest.Wait()
		if n, p := st.stats.RateLimited.Load(), st.stats.Pending.Load(); n != 1 || p != 2 {
			t.Errorf("rate_limit_enforced %d, pending_requests %d", n, p)
		}
		<-done
		if d := time.Since(start); d < time.Second || d > 1100*time.Millisecond {
			t.Errorf("two requests took %v", d)
		}
		if p := st.stats.Pending.Load(); p != 0 {
			t.Errorf("pending_requests %d", p)
		}
		go st.cancel()
		st.pace(&b, 1) // ends with the stream
	})
}
