package rbac_test

import (
	"net/netip"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/http/rbac"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/stream/streamtest"
)

// TestAllocatesNothing: whatever the rules look at, whether they allow or refuse, also
// when policies are counted and when the route has rules of its own.
func TestAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("pools allocate at random under the race detector")
	}
	const many = `{permissions: [{and_rules: {rules: [{url_path: {path: {prefix: /}}}, {not_rule: {header: {name: x-role, string_match: {exact: root}}}}, {destination_ip: {address_prefix: 127.0.0.0, prefix_len: 8}}]}}],
	 principals: [{authenticated: {principal_name: {safe_regex: {regex: "spiffe://[^/]+/ns/.*/sa/[a-z]+"}}}}]}`
	const own = `
virtual_hosts:
- name: v
  domains: ["*"]
  routes:
  - match: {prefix: /}
    route: {cluster: a}
    typed_per_filter_config: {guard: {` + perRoute + `, rbac: {track_per_rule_stats: true, rules: {policies: {p: ` + many + `}}}}}
`
	const none = "virtual_hosts: [{name: v, domains: [\"*\"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]"
	for name, c := range map[string]struct {
		config, routes string
		code           int
	}{
		"allowed":      {"{rules: {policies: {p: " + many + "}}, shadow_rules: {}, track_per_rule_stats: true}", none, 200},
		"refused":      {"{rules: {action: DENY, policies: {p: " + many + "}}, track_per_rule_stats: true}", none, 403},
		"by the route": {"{rules: {}}", own, 200},
		"by a matcher": {"{matcher: " + tree("ALLOW", "reader") + "}", none, 200},
	} {
		m, rc := new(httpv3.RBAC), new(routev3.RouteConfiguration)
		if _, err := yamlproto.Unmarshal([]byte(c.config), m, yamlproto.Options{}); err != nil {
			t.Fatal(name, err)
		}
		if _, err := yamlproto.Unmarshal([]byte(c.routes), rc, yamlproto.Options{}); err != nil {
			t.Fatal(name, err)
		}
		ctx := extension.NewContext(extension.NewRegistry([]*extension.Factory{rbac.Factory()}), "test")
		table, err := route.Decode(rc, ctx)
		if err != nil {
			t.Fatal(name, err)
		}
		typed, err := anypb.New(m)
		if err != nil {
			t.Fatal(name, err)
		}
		p, err := ctx.Parse(extension.HTTPFilter, "guard", typed)
		if err != nil {
			t.Fatal(name, err)
		}
		root := stats.NewStore().Scope("")
		bc := &filters.BuildContext{Stats: root, HTTP: root.Scope("http", "test"), Slots: new(stream.Slots)}
		f, err := filters.Make(p, bc)
		if err != nil {
			t.Fatal(name, err)
		}
		chain := stream.NewChain([]stream.Named{{Name: "guard", Filter: f}, {Name: "end", Filter: &streamtest.Terminal{}}}, bc.Slots, nil)
		live := new(route.Live)
		live.Store(table)
		s, k, codec := stream.New(chain), conn.New(nil), new(streamtest.Codec)
		k.Info.Dest = netip.MustParseAddrPort("127.0.0.1:80")
		k.Info.TLSVersion, k.Info.PeerValidated, k.Info.PeerCertificate = "TLSv1.3", true, &info.Certificate{URIs: []string{"spiffe://cluster.local/ns/default-namespace/sa/client"}}
		head := streamtest.Fields(":method", "GET", ":path", "/a?b", ":authority", "h", "x-role", "reader")
		once := func() {
			codec.Reset()
			if err := streamtest.Serve(s, k, codec, live, 1, head); err != nil {
				t.Error(name, err)
			}
			s.Recycle()
		}
		once()
		if refused := string(codec.Body) == "RBAC: access denied"; refused != (c.code == 403) || !codec.Ended {
			t.Errorf("%s: %q", name, codec.Body)
		}
		if n := testing.AllocsPerRun(500, once); n > 0 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
	}
}
