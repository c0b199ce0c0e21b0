package rbac_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	typ      = `"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC`
	perRoute = `"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute`
)

// hcm has the filter with the given configuration, and for /own another.
func hcm(config, own string) string {
	if own != "" {
		own = ", typed_per_filter_config: {guard: {" + perRoute + ", " + own + "}}"
	}
	return rig.Expand(`
stat_prefix: test
http_filters:
- {name: guard, typed_config: {` + typ + `, ` + config + `}}
- $router
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [
  {match: {prefix: /own}, route: {cluster: a}` + own + `},
  {match: {prefix: /}, route: {cluster: a}}]}]}
`)
}

func origins(t testing.TB) map[string]string {
	return map[string]string{"a": rig.Origin(t, func(http.ResponseWriter, *http.Request) {})}
}

// policy is a policy that matches requests with a field of x-role.
func policy(name, role string) string {
	return `"` + name + `": {permissions: [{any: true}], principals: [{header: {name: x-role, string_match: {exact: ` + role + `}}}]}`
}

func allow(policies ...string) string { return "{policies: {" + strings.Join(policies, ", ") + "}}" }

func deny(policies ...string) string {
	return "{action: DENY, policies: {" + strings.Join(policies, ", ") + "}}"
}

// tree matches a role, with the policy "m".
func tree(action, role string) string {
	return `{matcher_list: {matchers: [{predicate: {single_predicate: {input: {name: in, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-role}}, value_match: {exact: ` + role + `}}},
	 on_match: {action: {name: action, typed_config: {"@type": type.googleapis.com/envoy.config.rbac.v3.Action, name: m, action: ` + action + `}}}}]}}`
}

// TestRules: the requests have each of the roles; what they got, and what was counted
// under http.test.rbac.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		name, config, own, path, roles string
		codes, counts                  string
	}{
		{"no rules", "rules_stat_prefix: x", "", "/", "a b", "200 200", "allowed -1, x.allowed 0, x.denied 0"},
		{"nothing allowed", "rules: {}", "", "/", "a b", "403 403", "allowed 0, denied 2"},
		{"allow", "rules: " + allow(policy("p", "a")), "", "/", "a b a", "200 403 200", "allowed 2, denied 1, shadow_allowed 0, shadow_denied 0"},
		{"deny", "rules: " + deny(policy("p", "a")), "", "/", "a b a", "403 200 403", "allowed 1, denied 2"},
		{"log", "rules: {action: LOG, policies: {" + policy("p", "a") + "}}", "", "/", "a b", "200 200", "allowed 2, denied 0"},
		{"shadow alone", "shadow_rules: " + allow(policy("p", "a")), "", "/", "a b", "200 200", "allowed 0, denied 0, shadow_allowed 1, shadow_denied 1"},
		{
			"both, with prefixes and policies", "rules: " + allow(policy("p", "a"), policy("q", "c")) + ", shadow_rules: " + deny(policy("s.1", "b")) +
				", rules_stat_prefix: r, shadow_rules_stat_prefix: dry_, track_per_rule_stats: true", "",
			"/", "a b a c", "200 403 200 200",
			"r.allowed 3, r.denied 1, r.policy.p.allowed 2, r.policy.q.allowed 1, r.policy.p.denied 0, " +
				"dry_.shadow_allowed 3, dry_.shadow_denied 1, dry_.policy.s.1.shadow_denied 1, dry_.policy.s.1.shadow_allowed 0",
		},
		{
			"matchers", "matcher: " + tree("ALLOW", "a") + ", rules: " + deny(policy("p", "a")) + ", shadow_matcher: " + tree("DENY", "a") + ", track_per_rule_stats: true",
			"", "/", "a b", "200 403", "allowed 1, denied 1, policy.m.allowed 1, shadow_allowed 0, shadow_denied 2, policy.m.shadow_denied 1",
		},
		{"the route's matcher", "rules: {}", "rbac: {matcher: " + tree("ALLOW", "a") + "}", "/own", "a b", "200 403", "allowed 1, denied 1"},
		{"an empty matcher", "matcher: {}", "", "/", "a", "403", "denied 1"},
		{"policies are not counted unasked", "rules: " + allow(policy("p", "a")), "", "/", "a", "200", "allowed 1, policy.p.allowed -1"},
		{"the route's own", "rules: {}", "rbac: {rules: " + allow(policy("p", "a")) + ", track_per_rule_stats: true}", "/own", "a b", "200 403", "allowed 1, denied 1, policy.p.allowed 1"},
		{"the route has none", "rules: {}", "rbac: {}", "/own", "a b", "200 200", "allowed 0, denied 0"},
		{"the route switches it off", "rules: {}", "rbac: null", "/own", "a b", "200 200", "allowed 0, denied 0"},
		{"the route is another", "rules: {}", "rbac: {}", "/", "a", "403", "allowed 0, denied 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig.New(t, rig.Options{HCM: hcm(c.config, c.own), Origins: origins(t)})
			cl := rig.Client(t)
			codes := strings.Fields(c.codes)
			for i, role := range strings.Fields(c.roles) {
				a := r.Do(cl, "GET", c.path, "x-role", role)
				if strconv.Itoa(a.Code) != codes[i] {
					t.Errorf("request %d (%s): %d, wanted %s", i, role, a.Code, codes[i])
				}
				if a.Code == 403 && (a.Body != "RBAC: access denied" || a.Header.Get("Content-Type") != "text/plain") {
					t.Errorf("request %d: %q %v", i, a.Body, a.Header)
				}
			}
			for _, want := range strings.Split(c.counts, ", ") {
				name, value, _ := strings.Cut(want, " ")
				if got := r.Stat("http.test.rbac." + name); value != strconv.FormatInt(got, 10) {
					t.Errorf("%s %d, wanted %s", name, got, value)
				}
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ config, own, want string }{
		{`matcher: {on_no_match: {action: {name: a, typed_config: {"@type": type.googleapis.com/envoy.config.rbac.v3.Action, name: ""}}}}`, "", "matcher.on_no_match.action.typed_config.name: "},
		{`shadow_matcher: {matcher_list: {}}`, "", "shadow_matcher.matcher_list"},
		{"rules: {policies: {p: {permissions: [{any: true}], principals: [{custom: {name: c, typed_config: {" + typ + "}}}]}}}", "", `rules.policies["p"].principals[0].custom: unsupported`},
		{"rules: {}", "rbac: {shadow_rules: {policies: {p: {permissions: [{destination_port_range: {start: 2, end: 1}}], principals: [{any: true}]}}}}", `rbac.shadow_rules.policies["p"].permissions[0].destination_port_range: [2, 1) is empty`},
	} {
		_, err := rig.Parse(hcm(c.config, c.own))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: error %v, wanted %q in it", c.config, c.own, err, c.want)
		}
	}
}

func TestGRPC(t *testing.T) {
	r := rig.New(t, rig.Options{HCM: hcm("rules: {}", ""), Origins: origins(t)})
	a := r.Do(rig.ClientH2C(t), "POST", "/", "content-type", "application/grpc")
	if a.Code != 200 || a.Header.Get("grpc-status") != "7" || a.Header.Get("grpc-message") != "RBAC: access denied" || a.Body != "" {
		t.Errorf("%d %v %q", a.Code, a.Header, a.Body)
	}
}
