package localratelimit

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/conn"
)

func TestBucketFillsContinuously(t *testing.T) {
	start := time.Now()
	b := newBucket(start, 3, 2, time.Second) // a token each half second, three at most
	for i, step := range []struct {
		at   time.Duration
		take int // how many can be taken
		left uint64
		next time.Duration
	}{
		{0, 3, 0, 500 * time.Millisecond},
		{400 * time.Millisecond, 0, 0, 100 * time.Millisecond},
		{500 * time.Millisecond, 1, 0, 500 * time.Millisecond},
		{1600 * time.Millisecond, 2, 0, 400 * time.Millisecond},
		{time.Hour, 3, 0, 500 * time.Millisecond},
		{2 * time.Hour, 0, 3, 0},
	} {
		now := start.Add(step.at)
		for k := range step.take {
			if !b.take(now) {
				t.Fatalf("step %d: token %d refused", i, k)
			}
		}
		left, next := b.state(now)
		if left != step.left || next.Round(time.Millisecond) != step.next {
			t.Errorf("step %d: %d left, next in %v; wanted %d, %v", i, left, next, step.left, step.next)
		}
		if left == 0 && b.take(now) {
			t.Errorf("step %d: a token too many", i)
		}
	}
}

// TestBucketIsExact: whoever takes at once, no more is given than there is.
func TestBucketIsExact(t *testing.T) {
	now := time.Now()
	b := newBucket(now, 1000, 1, time.Hour)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if b.take(now) {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); n != 1000 {
		t.Errorf("%d tokens of 1000", n)
	}
}

func TestBucketOfAConnectionGoesWithIt(t *testing.T) {
	p := &perConn{fresh: func(now time.Time) *bucket { return newBucket(now, 1, 1, time.Hour) }}
	now := time.Now()
	count := func() (n int) {
		p.buckets.Range(func(any, any) bool { n++; return true })
		return n
	}
	func() {
		a, b := conn.New(nil), conn.New(nil)
		if first := p.of(a, now); first == p.of(b, now) || first != p.of(a, now) {
			t.Error("buckets are mixed up")
		}
		if n := testing.AllocsPerRun(100, func() { p.of(a, now) }); n > 0 {
			t.Errorf("finding a bucket allocates %v", n)
		}
		runtime.KeepAlive(b)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		runtime.GC()
		if count() == 0 {
			return
		}
		<-tick.C
	}
	t.Errorf("%d buckets stayed", count())
}
