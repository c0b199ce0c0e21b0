// Package localratelimit is envoy.filters.http.local_ratelimit: it answers 429
// when requests come faster than a token bucket of this process allows.
package localratelimit

import (
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/tokenbucket"
)

// Stats are the statistics of one bucket's requests, under
// <stat_prefix>.http_local_rate_limit.
type Stats struct {
	Enabled     *stats.Counter `stat:"enabled"`
	Enforced    *stats.Counter `stat:"enforced"`
	RateLimited *stats.Counter `stat:"rate_limited"`
	OK          *stats.Counter `stat:"ok"`
}

// settings is a compiled LocalRateLimit with the bucket it stands for: whoever
// has the same settings shares the tokens.
type settings struct {
	statPrefix        string
	code              int
	exhausted         bool // rate_limited_as_resource_exhausted
	enabled, enforced match.Fraction
	bucket            *tokenbucket.Bucket // nil limits nothing
	perConn           *perConn            // instead of bucket
	size              uint32
	request, response *route.Mutations // request_headers_to_add_when_not_enforced, response_headers_to_add
	tellRemaining     bool             // enable_x_ratelimit_headers
	statsOf           atomic.Pointer[Stats]
}

// filter is one local rate limit filter of a chain.
type filter struct {
	name     string
	cfg      *settings
	root     *stats.Scope
	hostname string
	looked   stream.Slot[look]
	now      func() time.Time
}

// look is what a request met; the zero look met nothing.
type look struct {
	cfg    *settings
	bucket *tokenbucket.Bucket
}

var (
	_ filters.RequestHeaders  = (*filter)(nil)
	_ filters.ResponseHeaders = (*filter)(nil)
)

var (
	xRatelimitLimit     = header.Intern("x-ratelimit-limit")
	xRatelimitRemaining = header.Intern("x-ratelimit-remaining")
	xRatelimitReset     = header.Intern("x-ratelimit-reset")
)

// OnRequestHeaders implements filters.RequestHeaders.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	c := f.cfg
	if v, ok := s.RouteConfig(f.name); ok {
		if r, ok := v.(*settings); ok {
			c = r
		}
	}
	if !c.enabled.Hit(s.Rand()) {
		return filters.Continue
	}
	st := f.statsFor(c)
	st.Enabled.Inc()
	now := f.now()
	b := c.bucket
	if c.perConn != nil {
		b = c.perConn.of(s.Conn, now)
	}
	*f.looked.Of(s) = look{c, b}
	if b == nil || b.Take(now) {
		st.OK.Inc()
		return filters.Continue
	}
	st.RateLimited.Inc()
	if !c.enforced.Hit(s.Rand()) {
		c.request.Apply(&s.Request, &route.Vars{
			Conn: &s.Conn.Info, Stream: &s.Info, Request: &s.Request, Hostname: f.hostname,
		})
		return filters.Continue
	}
	st.Enforced.Inc()
	c.response.Apply(&s.Response, &route.Vars{
		Conn: &s.Conn.Info, Stream: &s.Info, Request: &s.Request, Response: &s.Response, Hostname: f.hostname,
	})
	if c.exhausted {
		s.SetGRPCStatus(grpc.ResourceExhausted)
	}
	s.Reply(c.code, info.RateLimited, "local_rate_limited", "local_rate_limited")
	return filters.Stop
}

// OnResponseHeaders implements filters.ResponseHeaders.
func (f *filter) OnResponseHeaders(s *stream.Stream) filters.Verdict {
	l := f.looked.Of(s)
	if l.bucket == nil || !l.cfg.tellRemaining {
		return filters.Continue
	}
	left, next := l.bucket.State(f.now())
	s.Response.AddInt(xRatelimitLimit, int64(l.cfg.size))
	s.Response.AddInt(xRatelimitRemaining, int64(left))
	s.Response.AddInt(xRatelimitReset, int64((next+time.Second-1)/time.Second))
	return filters.Continue
}

// statsFor gives the counters of settings. Those of a route are made when the
// first request meets them: a route is parsed before there are any statistics.
func (f *filter) statsFor(c *settings) *Stats {
	if st := c.statsOf.Load(); st != nil {
		return st
	}
	st := stats.Fill[Stats](f.root.Scope(c.statPrefix, "http_local_rate_limit"))
	c.statsOf.Store(st)
	return st
}
