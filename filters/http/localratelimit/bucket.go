package localratelimit

import (
	"math"
	"sync/atomic"
	"time"
)

// A bucket is a token bucket in one word: the time, in seconds since base, at
// which it would have been empty had it been filling ever since. It holds as many
// tokens as were filled in since then, up to its size. Taking one moves that time
// on by what one token takes to fill in: one compare-and-swap, no timer.
type bucket struct {
	base  time.Time
	size  float64 // max_tokens
	token float64 // seconds one token takes to fill in
	empty atomic.Uint64
}

func newBucket(base time.Time, size uint32, perFill uint32, interval time.Duration) *bucket {
	b := &bucket{base: base, size: float64(size), token: interval.Seconds() / float64(perFill)}
	b.empty.Store(math.Float64bits(-b.size * b.token))
	return b
}

// take takes one token, if there is one.
func (b *bucket) take(now time.Time) bool {
	at := now.Sub(b.base).Seconds()
	for {
		old := b.empty.Load()
		empty := max(math.Float64frombits(old), at-b.size*b.token) + b.token
		// A token that is complete but for rounding is complete.
		if empty > at+b.token*1e-6 {
			return false
		}
		if b.empty.CompareAndSwap(old, math.Float64bits(empty)) {
			return true
		}
	}
}

// state tells how many whole tokens are left and, when there is none, how long
// until there is one.
func (b *bucket) state(now time.Time) (tokens uint64, next time.Duration) {
	at := now.Sub(b.base).Seconds()
	n := (at - math.Float64frombits(b.empty.Load())) / b.token
	if n = min(n+1e-6, b.size); n >= 1 {
		return uint64(n), 0
	}
	return 0, time.Duration((1 - max(n, 0)) * b.token * float64(time.Second))
}
