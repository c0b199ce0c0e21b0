// Package tokenbucket limits how often something happens, exactly and without a
// lock or a timer.
package tokenbucket

import (
	"math"
	"sync/atomic"
	"time"
)

// A Bucket is a token bucket in one word: the time, in seconds since base, at
// which it would have been empty had it been filling ever since. It holds as many
// tokens as were filled in since then, up to its size. Taking one moves that time
// on by what one token takes to fill in: one compare-and-swap.
type Bucket struct {
	base  time.Time
	size  float64 // most tokens it holds
	token float64 // seconds one token takes to fill in
	empty atomic.Uint64
}

// New makes a full bucket of size tokens, which gets perFill of them each interval,
// continuously (Envoy: envoy.type.v3.TokenBucket). All three are more than zero.
func New(base time.Time, size, perFill uint32, interval time.Duration) *Bucket {
	b := &Bucket{base: base, size: float64(size), token: interval.Seconds() / float64(perFill)}
	b.empty.Store(math.Float64bits(-b.size * b.token))
	return b
}

// Take takes one token, if there is one.
func (b *Bucket) Take(now time.Time) bool {
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

// State tells how many whole tokens are left and, when there is none, how long
// until there is one.
func (b *Bucket) State(now time.Time) (tokens uint64, next time.Duration) {
	at := now.Sub(b.base).Seconds()
	n := (at - math.Float64frombits(b.empty.Load())) / b.token
	if n = min(n+1e-6, b.size); n >= 1 {
		return uint64(n), 0
	}
	return 0, time.Duration((1 - max(n, 0)) * b.token * float64(time.Second))
}
