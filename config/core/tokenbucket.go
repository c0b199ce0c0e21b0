package core

import (
	"time"

	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/weirproxy/weir/config/fielderr"
)

// A TokenBucket says how often something may happen. None of its fields is zero.
type TokenBucket struct {
	Max      uint32        // max_tokens: what it holds, at the start also
	PerFill  uint32        // tokens_per_fill, default 1
	Interval time.Duration // fill_interval
}

// minFill is the shortest fill_interval, as in Envoy.
const minFill = 50 * time.Millisecond

// DecodeTokenBucket reads the bucket of a local rate limit. It records what is wrong and says whether nothing was.
func DecodeTokenBucket(l *fielderr.List, path string, m *typev3.TokenBucket) (TokenBucket, bool) {
	before := l.Len()
	b := TokenBucket{
		Max:      m.GetMaxTokens(),
		PerFill:  fielderr.Uint32(m.GetTokensPerFill(), 1),
		Interval: l.Duration(path+".fill_interval", m.GetFillInterval(), 0),
	}
	if b.Max == 0 {
		l.Addf(path+".max_tokens", "zero")
	}
	if b.PerFill == 0 {
		l.Addf(path+".tokens_per_fill", "zero")
	}
	if b.Interval < minFill {
		l.Addf(path+".fill_interval", "local rate limit token bucket fill timer must be >= 50ms")
	}
	return b, l.Len() == before
}
