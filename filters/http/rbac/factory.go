package rbac

import (
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
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
	c.rules.rules, c.rules.each = rules(&l, "", m.GetRules(), m.GetMatcher()), m.GetTrackPerRuleStats()
	c.shadow.rules, c.shadow.each = rules(&l, "shadow_", m.GetShadowRules(), m.GetShadowMatcher()), m.GetTrackPerRuleStats()
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

// rules compiles a matcher, or else an RBAC; without either there is none, and an
// empty one allows nothing.
func rules(l *fielderr.List, prefix string, m *rbacv3.RBAC, tree *matcherv3.Matcher) (e *engine.Engine) {
	var err error
	switch {
	case tree != nil: // Envoy: rules beside it are ignored
		e, err = engine.DecodeMatcher(tree, engine.Requests)
		l.Add(prefix+"matcher", err)
	case m != nil:
		e, err = engine.Decode(m, engine.Requests)
		l.Add(prefix+"rules", err)
	}
	return e
}
