package xds

import (
	"context"
	"time"
)

// A Rate bounds the requests on a stream (Envoy: RateLimitSettings): Burst at once, PerSecond on average. The zero Rate bounds nothing.
type Rate struct {
	Burst     uint32
	PerSecond float64
}

// A bucket holds tokens of a Rate. It has no clock.
type bucket struct {
	rate   Rate
	tokens float64
	at     time.Time // of tokens
}

func newBucket(r Rate, now time.Time) bucket { return bucket{r, float64(r.Burst), now} }

// take takes a token. When there is none it says how long to wait for the next, and takes nothing.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	if b.rate == (Rate{}) {
		return 0
	}
	if d := now.Sub(b.at); d > 0 {
		b.tokens, b.at = min(b.tokens+d.Seconds()*b.rate.PerSecond, float64(b.rate.Burst)), now
	}
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return max(time.Duration((1-b.tokens)/b.rate.PerSecond*float64(time.Second)), time.Millisecond)
}

// pace waits until the next of a number of requests may be sent, or until ctx ends.
func (st *stream) pace(b *bucket, requests int) {
	wait := b.take(time.Now())
	if wait == 0 {
		return
	}
	st.stats.RateLimited.Add(1)
	st.stats.Pending.Add(int64(requests))
	defer st.stats.Pending.Add(-int64(requests))
	for wait > 0 {
		timeout, cancel := context.WithTimeout(st.ctx, wait)
		<-timeout.Done()
		cancel()
		if st.ctx.Err() != nil {
			return
		}
		wait = b.take(time.Now())
	}
}
