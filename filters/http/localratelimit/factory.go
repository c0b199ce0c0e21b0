package localratelimit

import (
	"fmt"
	"os"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/tokenbucket"
)

// Factory is envoy.filters.http.local_ratelimit.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.local_ratelimit", parse, build, filters.PerRoute(parseRoute))
}

func build(c *settings, bc *filters.BuildContext) (any, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("host name: %w", err)
	}
	return &filter{
		name: bc.Name, cfg: c, root: bc.Stats, hostname: name, now: time.Now,
		looked: filters.NewSlot[look](bc),
	}, nil
}

func parse(m *localv3.LocalRateLimit, ctx *extension.Context) (*settings, error) {
	var l fielderr.List
	c := &settings{statPrefix: m.StatPrefix, code: int(m.GetStatus().GetCode()), exhausted: m.RateLimitedAsResourceExhausted}
	if m.StatPrefix == "" {
		l.Addf("stat_prefix", "unset")
	}
	if c.code < 400 { // Envoy: a status that is no error becomes 429
		c.code = 429
	}
	c.enabled = fraction(&l, "filter_enabled", m.FilterEnabled, ctx)
	c.enforced = fraction(&l, "filter_enforced", m.FilterEnforced, ctx)
	c.request = additions(&l, "request_headers_to_add_when_not_enforced", m.RequestHeadersToAddWhenNotEnforced)
	c.response = additions(&l, "response_headers_to_add", m.ResponseHeadersToAdd)
	c.tellRemaining = m.EnableXRatelimitHeaders == ratelimitv3.XRateLimitHeadersRFCVersion_DRAFT_VERSION_03
	parseBucket(&l, c, m)
	refuse(&l, m)
	return c, l.Err()
}

// parseRoute wants a bucket: there is no other use of settings of a route.
func parseRoute(m *localv3.LocalRateLimit, ctx *extension.Context) (*settings, error) {
	c, err := parse(m, ctx)
	if m.TokenBucket == nil {
		var l fielderr.List
		l.Add("", err)
		l.Addf("token_bucket", "local rate limit token bucket must be set for per filter configs")
		return nil, l.Err()
	}
	return c, err
}

// fraction takes filter_enabled or filter_enforced; unset is never.
func fraction(l *fielderr.List, path string, m *corev3.RuntimeFractionalPercent, ctx *extension.Context) match.Fraction {
	if m == nil {
		return match.Fraction{}
	}
	f, err := match.NewRuntimeFraction(m, "local_ratelimit."+path, ctx.Runtime)
	l.Add(path, err)
	return f
}

func additions(l *fielderr.List, path string, add []*corev3.HeaderValueOption) *route.Mutations {
	if len(add) == 0 {
		return nil
	}
	m := &route.Mutations{}
	for i, o := range add {
		a, err := route.NewHeaderAdd(o)
		l.Add(fielderr.Index(path, i), err)
		m.Add = append(m.Add, a)
	}
	return m
}

func parseBucket(l *fielderr.List, c *settings, m *localv3.LocalRateLimit) {
	t := m.TokenBucket
	if t == nil {
		return
	}
	b, ok := core.DecodeTokenBucket(l, "token_bucket", t)
	if !ok || l.Len() > 0 {
		return
	}
	c.size = b.Max
	if m.LocalRateLimitPerDownstreamConnection {
		c.perConn = &perConn{fresh: func(now time.Time) *tokenbucket.Bucket { return tokenbucket.New(now, b.Max, b.PerFill, b.Interval) }}
		return
	}
	c.bucket = tokenbucket.New(time.Now(), b.Max, b.PerFill, b.Interval)
}

// refuse names what would limit less, or more, than is asked for.
func refuse(l *fielderr.List, m *localv3.LocalRateLimit) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"descriptors", len(m.Descriptors) > 0},
		{"rate_limits", len(m.RateLimits) > 0},
		{"stage", m.Stage != 0},
		{"vh_rate_limits", m.VhRateLimits != 0},
		{"local_cluster_rate_limit", m.LocalClusterRateLimit != nil},
		{"always_consume_default_token_bucket", m.AlwaysConsumeDefaultTokenBucket != nil},
		{"max_dynamic_descriptors", m.MaxDynamicDescriptors != nil},
	} {
		if f.set {
			l.Addf(f.name, "not supported (supported: token_bucket)")
		}
	}
}
