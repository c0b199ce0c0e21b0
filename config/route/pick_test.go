package route

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/header"
)

// decodeYAML makes a table of a text that has to be right.
func decodeYAML(tb testing.TB, text string) *Table {
	tb.Helper()
	rc := &routev3.RouteConfiguration{}
	if _, err := yamlproto.Unmarshal([]byte(text), rc, yamlproto.Options{}); err != nil {
		tb.Fatal(err)
	}
	t, err := Decode(rc, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestWeightsAreExact(t *testing.T) {
	table := decodeYAML(t, `
name: t
virtual_hosts:
- name: v
  domains: ["*"]
  routes:
  - match: {prefix: "/"}
    route: {weighted_clusters: {clusters: [{name: a, weight: 897}, {name: zero, weight: 0}, {name: b, weight: 3}, {name: c, weight: 137}]}}
`)
	f := table.VirtualHosts[0].Routes[0].Forward
	if f.Weighted.Total != 1037 {
		t.Fatalf("total %d", f.Weighted.Total)
	}
	got := map[string]int{}
	r := getRequest("h", "/")
	// Anywhere in the range of numbers, every 1037 in a row are shared out exactly.
	for _, base := range []uint64{0, 1 << 40, 12345678901234567} {
		for i := range f.Weighted.Total {
			r.Rand = base + i
			name, _, _ := f.Pick(r, 0, false, nil)
			again, _, _ := f.Pick(r, 0, false, &match.Trace{})
			if name != again {
				t.Fatal("the same request is shared out twice")
			}
			got[name]++
		}
	}
	if diff := cmp.Diff(map[string]int{"a": 3 * 897, "b": 3 * 3, "c": 3 * 137}, got); diff != "" {
		t.Error(diff)
	}
}

// TestWeightsAndFractionAreIndependent sends half of the requests to a route
// whose clusters are split evenly: the halves of the fraction see the same split.
func TestWeightsAndFractionAreIndependent(t *testing.T) {
	table := decodeYAML(t, `
name: t
virtual_hosts:
- name: v
  domains: ["*"]
  routes:
  - match: {prefix: "/", runtime_fraction: {default_value: {numerator: 50}}}
    route: {weighted_clusters: {clusters: [{name: a, weight: 50}, {name: b, weight: 50}]}}
  - match: {prefix: "/"}
    route: {weighted_clusters: {clusters: [{name: c, weight: 50}, {name: d, weight: 50}]}}
`)
	got := map[string]int{}
	r := getRequest("h", "/")
	const n = 40_000
	for i := range uint64(n) {
		r.Rand = i
		name, _, _ := table.Match(r, nil).Forward.Pick(r, 0, false, nil)
		got[name]++
	}
	for _, c := range []string{"a", "b", "c", "d"} {
		if got[c] < n/4-500 || got[c] > n/4+500 { // 5.8 standard deviations, fixed numbers
			t.Errorf("%s: %d of %d", c, got[c], n)
		}
	}
}

func TestFilterConfigsAreTheMostSpecific(t *testing.T) {
	table := decodeFilters(t)
	routes := table.VirtualHosts[0].Routes
	type answer struct {
		cfg      any
		off, has bool
	}
	ask := func(cfg any, off, has bool) answer { return answer{cfg, off, has} }
	share := &routes[0].Forward.Weighted.Clusters[0]
	plain := &routes[0].Forward.Weighted.Clusters[1]
	for _, c := range []struct {
		what      string
		got, want answer
	}{
		{"table, under another host's", ask(routes[0].FilterConfig("table")), answer{"table", false, true}},
		{"host over table", ask(routes[0].FilterConfig("host")), answer{"host", false, true}},
		{"route over host", ask(routes[0].FilterConfig("route")), answer{"route", false, true}},
		{"disabled by the host", ask(routes[0].FilterConfig("off")), answer{nil, true, true}},
		{"enabled by the route", ask(routes[1].FilterConfig("off")), answer{nil, false, true}},
		{"weight over route", ask(share.FilterConfig("route")), answer{"weight", false, true}},
		{"weight keeps the rest", ask(share.FilterConfig("off")), answer{nil, true, true}},
		{"weight without its own", ask(plain.FilterConfig("route")), answer{"route", false, true}},
		{"optional and unknown", ask(routes[0].FilterConfig("optional")), answer{nil, false, false}},
		{"redirect to TLS", ask(table.VirtualHosts[0].toTLS.FilterConfig("host")), answer{"host", false, true}},
	} {
		if diff := cmp.Diff(c.want.cfg, c.got.cfg); diff != "" || c.want.off != c.got.off || c.want.has != c.got.has {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestClusterHeaderOfTheRequest(t *testing.T) {
	table := decodeYAML(t, `
name: t
virtual_hosts:
- {name: v, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster_header: x-c, cluster_not_found_response_code: NOT_FOUND}}]}
`)
	r := getRequest("h", "/")
	f := table.Match(r, nil).Forward
	if name, dyn, w := f.Pick(r, 0, false, nil); name != "" || len(dyn) != 0 || w != nil || f.NotFoundCode != 404 {
		t.Errorf("without the header: %q %q %v %d", name, dyn, w, f.NotFoundCode)
	}
	r.Headers.AddString(header.Intern("x-c"), "dyn")
	if name, dyn, _ := f.Pick(r, 0, false, nil); name != "" || string(dyn) != "dyn" {
		t.Errorf("with the header: %q %q", name, dyn)
	}
	if len(table.Clusters()) != 0 {
		t.Errorf("clusters %v", table.Clusters())
	}
}
