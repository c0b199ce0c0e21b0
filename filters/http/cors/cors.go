// Package cors is envoy.filters.http.cors: it answers preflight requests and
// tells browsers which origins may read a response (Fetch standard, CORS protocol).
package cors

import (
	"bytes"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// Stats are the statistics of the filter, under http.<stat_prefix>.cors.
type Stats struct {
	OriginValid   *stats.Counter `stat:"origin_valid"`
	OriginInvalid *stats.Counter `stat:"origin_invalid"`
}

// policy is a compiled CorsPolicy. It is immutable.
type policy struct {
	origins         []match.String
	anyOrigin       bool // one of origins matches "*"
	methods         string
	headers         string
	expose          string
	maxAge          string
	credentials     bool
	privateNetwork  bool
	enabled, shadow match.Fraction
	forward         bool // forward_not_matching_preflights
}

// allowed tells whether the origin may read responses.
func (p *policy) allowed(origin []byte) bool {
	if p.anyOrigin {
		return true
	}
	for i := range p.origins {
		if p.origins[i].Match(origin) {
			return true
		}
	}
	return false
}

// filter is one CORS filter of a chain; every policy is a route's.
type filter struct {
	name    string
	stats   *Stats
	allowed stream.Slot[*policy] // the policy that allowed the request's origin
}

var (
	_ filters.RequestHeaders  = (*filter)(nil)
	_ filters.ResponseHeaders = (*filter)(nil)
)

var (
	requestMethod         = header.Intern("access-control-request-method")
	requestHeaders        = header.Intern("access-control-request-headers")
	requestPrivateNetwork = header.Intern("access-control-request-private-network")
	allowOrigin           = header.Intern("access-control-allow-origin")
	allowCredentials      = header.Intern("access-control-allow-credentials")
	allowMethods          = header.Intern("access-control-allow-methods")
	allowHeaders          = header.Intern("access-control-allow-headers")
	allowPrivateNetwork   = header.Intern("access-control-allow-private-network")
	exposeHeaders         = header.Intern("access-control-expose-headers")
	maxAge                = header.Intern("access-control-max-age")

	options = []byte("OPTIONS")
)

// OnRequestHeaders implements filters.RequestHeaders.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	p := f.policyFor(s)
	if p == nil {
		return filters.Continue
	}
	enabled := p.enabled.Hit(s.Rand())
	if !enabled && !p.shadow.Hit(s.Rand()) {
		return filters.Continue
	}
	origin := s.Request.Value(header.Origin)
	if len(origin) == 0 {
		return filters.Continue
	}
	ok := p.allowed(origin)
	if ok {
		f.stats.OriginValid.Inc()
	} else {
		f.stats.OriginInvalid.Inc()
	}
	if !enabled {
		return filters.Continue
	}
	if ok {
		*f.allowed.Of(s) = p
	}
	asked := s.Request.Value(requestMethod)
	if !bytes.Equal(s.Method, options) || len(asked) == 0 || !ok && p.forward {
		return filters.Continue
	}
	f.preflight(s, p, ok, origin, asked)
	return filters.Stop
}

// preflight answers with what the policy allows (Envoy: CorsFilter::decodeHeaders).
func (f *filter) preflight(s *stream.Stream, p *policy, ok bool, origin, asked []byte) {
	h := &s.Response
	if ok {
		h.Set(allowOrigin, origin)
	}
	if p.credentials {
		h.SetString(allowCredentials, "true")
	}
	setOrEcho(h, allowMethods, p.methods, asked)
	setOrEcho(h, allowHeaders, p.headers, s.Request.Value(requestHeaders))
	if p.maxAge != "" {
		h.SetString(maxAge, p.maxAge)
	}
	if p.privateNetwork && string(s.Request.Value(requestPrivateNetwork)) == "true" {
		h.SetString(allowPrivateNetwork, "true")
	}
	s.Reply(200, 0, "cors_response", "")
}

// setOrEcho sets a list; "*" allows what was asked for.
func setOrEcho(h *header.Headers, n header.Name, list string, asked []byte) {
	switch list {
	case "":
	case "*":
		h.Set(n, asked)
	default:
		h.SetString(n, list)
	}
}

// OnResponseHeaders implements filters.ResponseHeaders.
func (f *filter) OnResponseHeaders(s *stream.Stream) filters.Verdict {
	p := *f.allowed.Of(s)
	if p == nil {
		return filters.Continue
	}
	h := &s.Response
	h.Set(allowOrigin, s.Request.Value(header.Origin))
	if p.credentials {
		h.SetString(allowCredentials, "true")
	}
	if p.expose != "" {
		h.SetString(exposeHeaders, p.expose)
	}
	return filters.Continue
}

// policyFor gives the route's policy; only a route that forwards has one (Envoy:
// Route::routeEntry).
func (f *filter) policyFor(s *stream.Stream) *policy {
	v, ok := s.RouteConfig(f.name)
	if !ok {
		return nil
	}
	if rt := s.Route(); rt == nil || rt.Forward == nil {
		return nil
	}
	p, _ := v.(*policy)
	return p
}
