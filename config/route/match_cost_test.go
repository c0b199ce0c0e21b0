package route

import (
	"fmt"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/proxy/header"
)

// prefixTable has n routes with different prefixes in one virtual host.
func prefixTable(tb testing.TB, n int) *Table {
	v := &routev3.VirtualHost{Name: "v", Domains: []string{"*"}}
	for i := range n {
		v.Routes = append(v.Routes, &routev3.Route{
			Name:   fmt.Sprintf("r%d", i),
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: fmt.Sprintf("/svc-%05d/", i)}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: fmt.Sprintf("c%d", i)}}},
		})
	}
	t, err := Decode(&routev3.RouteConfiguration{Name: "big", VirtualHosts: []*routev3.VirtualHost{v}}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func getRequest(host, path string) *Request {
	h := &header.Headers{}
	h.AddString(header.Method, "GET")
	h.AddString(header.Authority, host)
	h.AddString(header.Path, path)
	return &Request{Authority: []byte(host), Path: []byte(path), Method: []byte("GET"), Headers: h}
}

// TestTheLastRouteCostsLikeTheFirst counts what cost is made of: nodes of the
// tree and routes that are asked. (BenchmarkMatch has the time.)
func TestTheLastRouteCostsLikeTheFirst(t *testing.T) {
	table := prefixTable(t, 10_000)
	depth := func(path string) int {
		n := 0
		for at := table.VirtualHosts[0].index.tree; at != nil; n++ {
			if path == "" {
				break
			}
			if at = at.child(path[0]); at != nil {
				path = path[min(len(at.label), len(path)):]
			}
		}
		return n
	}
	first, last := depth("/svc-00000/"), depth("/svc-09999/")
	if first != last || last > len("/svc-09999/") {
		t.Errorf("the first takes %d steps, the last %d", first, last)
	}
	for _, i := range []int{0, 5000, 9999} {
		rt := table.Match(getRequest("h", fmt.Sprintf("/svc-%05d/x", i)), nil)
		if rt == nil || rt.Index != i {
			t.Errorf("route %d: %v", i, rt)
		}
	}
}

// TestMatchAllocatesNothing takes every kind of criterion through its slow way:
// upper-case host, several fields of a name, a regex, cookies, a query.
func TestMatchAllocatesNothing(t *testing.T) {
	table := decodeYAML(t, `
name: t
ignore_port_in_host_matching: true
virtual_hosts:
- name: v
  domains: ["*.example.com"]
  routes:
  - {match: {safe_regex: {regex: "/[0-9]+x"}}, route: {cluster: no}}
  - {match: {prefix: "/", headers: [{name: x-no, string_match: {exact: a}}]}, route: {cluster: no}}
  - {match: {path: "/Path", case_sensitive: false, grpc: {}}, route: {cluster: no}}
  - match:
      safe_regex: {regex: "/p[a-z]+"}
      headers: [{name: via, string_match: {safe_regex: {regex: "[a-z],[a-z]"}}}, {name: n, range_match: {start: 1, end: 9}}]
      query_parameters: [{name: q, string_match: {suffix: v}}]
      cookies: [{name: c, string_match: {exact: "1"}}]
      runtime_fraction: {default_value: {numerator: 999999, denominator: MILLION}}
    route: {weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 1}], header_name: x-n}}
`)
	r := getRequest("WWW.Example.COM:8080", "/path?a=b&q=v")
	for _, f := range [][2]string{{"via", "a"}, {"via", "b"}, {"n", "3"}, {"cookie", "b=2; c=1"}, {"x-n", "5"}} {
		r.Headers.AddString(header.Intern(f[0]), f[1])
	}
	var dst []byte
	if n := testing.AllocsPerRun(100, func() {
		rt := table.Match(r, nil)
		if rt == nil || rt.Index != 3 {
			t.Fatal("wrong route")
		}
		if name, _, w := rt.Forward.Pick(r, 0, false, nil); name != "b" || w == nil {
			t.Fatal("wrong cluster")
		}
		dst = rt.AppendPath(dst[:0], r.Path)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestFreshRequestsAllocateNothing is how streams ask: with a Request on the
// stack that was never used before.
func TestFreshRequestsAllocateNothing(t *testing.T) {
	table := prefixTable(t, 100)
	host, path := []byte("WWW.EXAMPLE.COM"), []byte("/svc-00042/")
	h := &header.Headers{}
	if n := testing.AllocsPerRun(100, func() {
		r := Request{Authority: host, Path: path, Headers: h}
		if rt := table.Match(&r, nil); rt == nil || rt.Index != 42 {
			t.Fatal("wrong route")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMutationsAllocateNothing(t *testing.T) {
	table := decodeYAML(t, `
name: t
virtual_hosts:
- name: v
  domains: ["*"]
  request_headers_to_add:
  - {header: {key: x-a, value: "%DOWNSTREAM_REMOTE_ADDRESS% %REQ(:authority)% %PROTOCOL% %START_TIME% %UPSTREAM_HOST%"}}
  - {header: {key: x-b, value: plain}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
  request_headers_to_remove: [x-c]
  routes:
  - {match: {prefix: "/old"}, route: {cluster: c, prefix_rewrite: "/new", host_rewrite_literal: other}}
  - {match: {prefix: "/"}, redirect: {https_redirect: true, port_redirect: 8443}}
`)
	r := getRequest("h:80", "/old/x?y")
	rt := table.Match(r, nil)
	v := testVars(r.Headers)
	mark := r.Headers.Mark()
	away := getRequest("h:80", "/away?z")
	to := table.Match(away, nil).Redirect
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		rt.MutateRequest(nil, r.Headers, v)
		dst = rt.AppendPath(dst[:0], r.Path)
		dst, _ = rt.Forward.AppendHost(dst, nil, r)
		r.Headers.Rewind(mark)
		mark = r.Headers.Mark()
		dst = to.AppendLocation(dst[:0], away)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if string(dst) != "https://h:8443/away?z" {
		t.Errorf("location %s", dst)
	}
}

func BenchmarkMatch(b *testing.B) {
	table := prefixTable(b, 10_000)
	for _, c := range []struct{ name, path string }{{"first", "/svc-00000/x"}, {"last", "/svc-09999/x"}, {"none", "/other"}} {
		b.Run(c.name, func(b *testing.B) {
			r := getRequest("h", c.path)
			b.ReportAllocs()
			for b.Loop() {
				table.Match(r, nil)
			}
		})
	}
}

func BenchmarkDecode10000(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		prefixTable(b, 10_000)
	}
}
