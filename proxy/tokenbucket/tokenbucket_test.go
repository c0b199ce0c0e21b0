package tokenbucket

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBucketFillsContinuously(t *testing.T) {
	start := time.Now()
	b := New(start, 3, 2, time.Second) // a token each half second, three at most
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
			if !b.Take(now) {
				t.Fatalf("step %d: token %d refused", i, k)
			}
		}
		left, next := b.State(now)
		if left != step.left || next.Round(time.Millisecond) != step.next {
			t.Errorf("step %d: %d left, next in %v; wanted %d, %v", i, left, next, step.left, step.next)
		}
		if left == 0 && b.Take(now) {
			t.Errorf("step %d: a token too many", i)
		}
	}
}

// TestBucketIsExact: whoever takes at once, no more is given than there is.
func TestBucketIsExact(t *testing.T) {
	now := time.Now()
	b := New(now, 1000, 1, time.Hour)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if b.Take(now) {
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

func TestTakingAllocatesNothing(t *testing.T) {
	now := time.Now()
	b := New(now, 1<<31, 1, time.Hour)
	if n := testing.AllocsPerRun(100, func() { b.Take(now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
