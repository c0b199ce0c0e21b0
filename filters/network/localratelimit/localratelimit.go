// Package localratelimit is envoy.filters.network.local_ratelimit: it closes
// connections of a filter chain that come faster than a token bucket allows.
package localratelimit

import (
	"time"

	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/local_ratelimit/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tokenbucket"
)

// Stats are the filter's statistics, under local_rate_limit.<stat_prefix>. and by
// Envoy's names.
type Stats struct {
	RateLimited *stats.Counter `stat:"rate_limited"`
}

// A Config is the parsed configuration. It is immutable.
type Config struct {
	statPrefix string
	bucket     core.TokenBucket
	shareKey   string // "" shares the bucket with nobody
	enabled    match.Flag
}

// Factory is envoy.filters.network.local_ratelimit.
func Factory() *extension.Factory {
	return filters.NewNetwork("envoy.filters.network.local_ratelimit", parse, build)
}

func parse(m *localv3.LocalRateLimit, ctx *extension.Context) (*Config, error) {
	var l fielderr.List
	c := &Config{
		statPrefix: m.GetStatPrefix(),
		shareKey:   m.GetShareKey(),
		enabled:    match.NewFlag(m.GetRuntimeEnabled(), true, ctx.Runtime),
	}
	c.bucket, _ = core.DecodeTokenBucket(&l, "token_bucket", m.GetTokenBucket())
	return c, l.Err()
}

// shared is what filters with one share_key and equal buckets have in common.
type shared struct {
	key    string
	bucket core.TokenBucket
}

func build(c *Config, bc *filters.BuildContext) (any, error) {
	f := &filter{enabled: c.enabled, st: stats.Fill[Stats](bc.Stats.Scope("local_rate_limit", c.statPrefix))}
	fresh := func() *tokenbucket.Bucket {
		return tokenbucket.New(time.Now(), c.bucket.Max, c.bucket.PerFill, c.bucket.Interval)
	}
	if c.shareKey == "" {
		f.bucket = fresh()
	} else {
		f.bucket = filters.Share(bc.Shared, shared{c.shareKey, c.bucket}, fresh)
	}
	return f, nil
}

type filter struct {
	enabled match.Flag
	bucket  *tokenbucket.Bucket
	st      *Stats
}

// OnAccept implements filters.AdmissionFilter.
func (f *filter) OnAccept(c *conn.Conn) filters.Verdict {
	if !f.enabled.On() || f.bucket.Take(time.Now()) {
		return filters.Continue
	}
	f.st.RateLimited.Inc()
	c.Info.Flags |= info.RateLimited
	c.Info.Details = "local_ratelimit_close_over_limit"
	return filters.Stop
}
