// Package healthcheck is envoy.filters.http.health_check: it recognises the
// health checks that come from load balancers and answers them, always or only
// while the proxy drains.
package healthcheck

import (
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// filter is one health check filter of a chain.
type filter struct {
	passThrough bool
	headers     []match.Header
	draining    func() bool
}

var (
	_ filters.RequestHeaders  = (*filter)(nil)
	_ filters.ResponseHeaders = (*filter)(nil)
)

var failImmediately = header.Intern("x-envoy-immediate-health-check-fail")

// OnRequestHeaders implements filters.RequestHeaders.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	if !match.MatchHeaders(f.headers, &s.Request, nil, nil) {
		return filters.Continue
	}
	s.Info.HealthCheck = true
	switch failed := f.draining(); {
	case failed:
		s.Reply(503, info.FailedLocalHealthCheck, "health_check_failed", "")
	case f.passThrough:
		return filters.Continue
	default:
		s.Reply(200, 0, "health_check_ok", "")
	}
	return filters.Stop
}

// OnResponseHeaders implements filters.ResponseHeaders: whoever balances over us
// learns from any response that we are leaving.
func (f *filter) OnResponseHeaders(s *stream.Stream) filters.Verdict {
	if !s.Info.HealthCheck && f.draining() {
		s.Response.SetString(failImmediately, "true")
	}
	return filters.Continue
}
