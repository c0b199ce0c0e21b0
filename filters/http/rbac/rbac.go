// Package rbac is envoy.filters.http.rbac: it answers 403 to requests that the rules
// do not allow.
package rbac

import (
	"sync/atomic"

	engine "github.com/weirproxy/weir/config/rbac"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// Stats count what the rules said, under http.<stat_prefix>.rbac.[<rules_stat_prefix>.].
type Stats struct {
	Allowed *stats.Counter `stat:"allowed"`
	Denied  *stats.Counter `stat:"denied"`
}

// ShadowStats count what the shadow rules would have said, under
// http.<stat_prefix>.rbac.[<shadow_rules_stat_prefix>.].
type ShadowStats struct {
	Allowed *stats.Counter `stat:"shadow_allowed"`
	Denied  *stats.Counter `stat:"shadow_denied"`
}

// A verdict is one set of rules: those that are enforced, or those in the shadow.
type verdict struct {
	rules    *engine.Engine // nil: there are none
	each     bool           // count for each policy too
	policies atomic.Pointer[policyStats]
}

// policyStats are the counters of the policies of one engine, in its order. Those of
// a route are made when the first request meets them: a route is parsed before there
// are any statistics.
type policyStats struct {
	of              *filter
	allowed, denied []*stats.Counter
}

// settings is a compiled RBAC. It is immutable but for the counters that it finds.
type settings struct {
	rules, shadow            verdict
	statPrefix, shadowPrefix string
}

// filter is one RBAC filter of a chain.
type filter struct {
	name        string
	cfg         *settings
	stats       *Stats
	shadow      *ShadowStats
	scope       *stats.Scope // of the policies: http.<stat_prefix>.rbac.[<rules_stat_prefix>.]policy.
	shadowScope *stats.Scope
}

var _ filters.RequestHeaders = (*filter)(nil)

const body = "RBAC: access denied"

// OnRequestHeaders implements filters.RequestHeaders.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	c := f.cfg
	if v, ok := s.RouteConfig(f.name); ok {
		if r, ok := v.(*settings); ok {
			c = r
		}
	}
	if c.rules.rules == nil && c.shadow.rules == nil {
		return filters.Continue
	}
	in := engine.Input{Conn: &s.Conn.Info, Client: s.Client, Headers: &s.Request, Path: s.Path}
	if e := c.shadow.rules; e != nil {
		r := e.Judge(&in, nil)
		count(r, f.shadow.Allowed, f.shadow.Denied, c.shadow.statsOf(f, f.shadowScope, "shadow_"))
	}
	e := c.rules.rules
	if e == nil {
		return filters.Continue
	}
	r := e.Judge(&in, nil)
	count(r, f.stats.Allowed, f.stats.Denied, c.rules.statsOf(f, f.scope, ""))
	if r.Allowed {
		return filters.Continue
	}
	s.Reply(403, 0, e.Details(r), body)
	return filters.Stop
}

// count counts a result; p is nil when policies are not counted.
func count(r engine.Result, allowed, denied *stats.Counter, p *policyStats) {
	if r.Allowed {
		allowed.Inc()
	} else {
		denied.Inc()
	}
	switch {
	case p == nil || r.Policy < 0:
	case r.Allowed:
		p.allowed[r.Policy].Inc()
	default:
		p.denied[r.Policy].Inc()
	}
}

// statsOf gives the counters of the policies. They are remembered for the filter that
// asked last: a route table that several chains have finds them again by name.
func (v *verdict) statsOf(f *filter, sc *stats.Scope, prefix string) *policyStats {
	if !v.each {
		return nil
	}
	if p := v.policies.Load(); p != nil && p.of == f {
		return p
	}
	p := &policyStats{of: f}
	for _, name := range v.rules.Policies() {
		own := sc.Scope(name)
		p.allowed = append(p.allowed, own.Counter(prefix+"allowed"))
		p.denied = append(p.denied, own.Counter(prefix+"denied"))
	}
	v.policies.Store(p)
	return p
}
