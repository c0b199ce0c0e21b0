// Package rbac is envoy.filters.network.rbac: it closes connections that the rules do
// not allow.
//
// It judges a connection once, when the TLS handshake is over and before anybody
// serves it; Envoy waits for the client's first bytes.
package rbac

import (
	"time"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	netv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	engine "github.com/weirproxy/weir/config/rbac"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stats"
)

// Stats count what the rules said, under <stat_prefix>.rbac.
type Stats struct {
	Allowed *stats.Counter `stat:"allowed"`
	Denied  *stats.Counter `stat:"denied"`
}

// ShadowStats count what the shadow rules would have said, under
// <stat_prefix>.rbac.[<shadow_rules_stat_prefix>.].
type ShadowStats struct {
	Allowed *stats.Counter `stat:"shadow_allowed"`
	Denied  *stats.Counter `stat:"shadow_denied"`
}

// A Config is the parsed configuration. It is immutable.
type Config struct {
	statPrefix, shadowPrefix string
	rules, shadow            *engine.Engine // nil: there are none
	delay                    time.Duration  // before a refused connection is closed
}

// Factory is envoy.filters.network.rbac.
func Factory() *extension.Factory {
	return filters.NewNetwork("envoy.filters.network.rbac", parse, build)
}

func parse(m *netv3.RBAC, _ *extension.Context) (*Config, error) {
	var l fielderr.List
	c := &Config{
		statPrefix: m.StatPrefix, shadowPrefix: m.ShadowRulesStatPrefix,
		rules: rules(&l, "", m.Rules, m.Matcher), shadow: rules(&l, "shadow_", m.ShadowRules, m.ShadowMatcher),
		delay: l.Duration("delay_deny", m.DelayDeny, 0),
	}
	if m.EnforcementType != netv3.RBAC_ONE_TIME_ON_FIRST_BYTE {
		l.Addf("enforcement_type", "%s is unsupported (supported: ONE_TIME_ON_FIRST_BYTE)", m.EnforcementType)
	}
	return c, l.Err()
}

// rules compiles a matcher, or else an RBAC; without either there is none, and an
// empty one allows nothing.
func rules(l *fielderr.List, prefix string, m *rbacv3.RBAC, tree *matcherv3.Matcher) (e *engine.Engine) {
	var err error
	switch {
	case tree != nil: // Envoy: rules beside it are ignored
		e, err = engine.DecodeMatcher(tree, engine.Connections)
		l.Add(prefix+"matcher", err)
	case m != nil:
		e, err = engine.Decode(m, engine.Connections)
		l.Add(prefix+"rules", err)
	}
	return e
}

func build(c *Config, bc *filters.BuildContext) (any, error) {
	scope := bc.Stats.Scope(c.statPrefix, "rbac")
	f := &filter{c: c, st: stats.Fill[Stats](scope)}
	if c.shadowPrefix != "" {
		scope = scope.Scope(c.shadowPrefix)
	}
	f.shadow = stats.Fill[ShadowStats](scope)
	return f, nil
}

type filter struct {
	c      *Config
	st     *Stats
	shadow *ShadowStats
}

// OnNewConnection implements filters.NetworkFilter.
func (f *filter) OnNewConnection(c *conn.Conn) filters.Verdict {
	in := engine.Input{Conn: &c.Info}
	if e := f.c.shadow; e != nil {
		if e.Judge(&in, nil).Allowed {
			f.shadow.Allowed.Inc()
		} else {
			f.shadow.Denied.Inc()
		}
	}
	e := f.c.rules
	if e == nil {
		return filters.Continue
	}
	r := e.Judge(&in, nil)
	if r.Allowed {
		f.st.Allowed.Inc()
		return filters.Continue
	}
	f.st.Denied.Inc()
	c.Info.Details = e.Details(r)
	if f.c.delay > 0 {
		c.Discard(f.c.delay)
	}
	return filters.Stop
}
