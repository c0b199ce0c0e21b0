package rbac

import (
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	engine "github.com/weirproxy/weir/config/rbac"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
)

// Factory is envoy.filters.http.rbac.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.rbac", parse, build, filters.PerRoute(parseRoute))
}

func build(c *settings, bc *filters.BuildContext) (any, error) {
	scope := bc.HTTP.Scope("rbac")
	rules, shadow := below(scope, c.statPrefix), below(scope, c.shadowPrefix)
	return &filter{
		name: bc.Name, cfg: c,
		stats: stats.Fill[Stats](rules), shadow: stats.Fill[ShadowStats](shadow),
		scope: rules.Scope("policy"), shadowScope: shadow.Scope("policy"),
	}, nil
}

// below is the scope of a prefix, or the scope itself without one.
func below(sc *stats.Scope, prefix string) *stats.Scope {
	if prefix == "" {
		return sc
	}
	return sc.Scope(prefix)
}

func parse(m *httpv3.RBAC, _ *extension.Context) (*settings, error) {
	var l fielderr.List
	c := &settings{statPrefix: m.GetRulesStatPrefix(), shadowPrefix: m.GetShadowRulesStatPrefix()}
	c.rules.rules, c.rules.each = rules(&l, "rules", m.GetRules()), m.GetTrackPerRuleStats()
	c.shadow.rules, c.shadow.each = rules(&l, "shadow_rules", m.GetShadowRules()), m.GetTrackPerRuleStats()
	if m.GetMatcher() != nil {
		l.Addf("matcher", "unsupported (supported: rules)")
	}
	if m.GetShadowMatcher() != nil {
		l.Addf("shadow_matcher", "unsupported (supported: shadow_rules)")
	}
	return c, l.Err()
}

// parseRoute reads what stands for the filter's own rules on a route; without rbac
// there are none.
func parseRoute(m *httpv3.RBACPerRoute, ctx *extension.Context) (*settings, error) {
	var l fielderr.List
	c, err := parse(m.GetRbac(), ctx)
	l.Add("rbac", err)
	return c, l.Err()
}

// rules compiles an RBAC; unset is none, and empty allows nothing.
func rules(l *fielderr.List, path string, m *rbacv3.RBAC) *engine.Engine {
	if m == nil {
		return nil
	}
	e, err := engine.Decode(m, engine.Requests)
	l.Add(path, err)
	return e
}
