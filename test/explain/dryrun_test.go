package explain

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/proxy/explain/dryrun"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/test/rig"
)

func decode(url string, a *anypb.Any, static bool) (*config.Resource, error) {
	dec := &config.Decoder{Registry: rig.Registry(), Mode: support.Reject}
	return dec.Decode(url, a, static)
}

func decoded(t testing.TB, a *anypb.Any) *config.Resource {
	t.Helper()
	r, err := decode(a.TypeUrl, a, false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t testing.TB, m proto.Message, text string) *anypb.Any {
	t.Helper()
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// listener has a connection manager with these routes.
func listener(t testing.TB, routes string) *anypb.Any {
	return read(t, &listenerv3.Listener{}, `{"name":"in","address":{"socket_address":{"address":"127.0.0.1","port_value":1}},
		"filter_chains":[{"filters":[{"name":"hcm","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix":"h",`+routes+`,
		"http_filters":[{"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}`)
}

// to is a route table whose only route goes to a cluster.
func to(t testing.TB, name, cluster string) *anypb.Any {
	return read(t, &routev3.RouteConfiguration{}, fmt.Sprintf(`{"name":%q,"virtual_hosts":[{"name":"v","domains":["*"],"routes":[
		{"match":{"prefix":"/"},"route":{"cluster":%q}}]}]}`, name, cluster))
}

func clusterOf(t testing.TB, name string) *anypb.Any {
	return read(t, &clusterv3.Cluster{}, fmt.Sprintf(`{"name":%q,"type":"STATIC","connect_timeout":"1s","load_assignment":{"cluster_name":%q}}`, name, name))
}

// TestDryRunOfRoutesOfTheirOwnSource: a route configuration that does not come by ADS is known by its name and its source, and is
// the one that a proposal of its name changes.
func TestDryRunOfRoutesOfTheirOwnSource(t *testing.T) {
	routes := func(prefix string) *anypb.Any {
		return read(t, &routev3.RouteConfiguration{}, `{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
			{"match":{"prefix":"`+prefix+`"},"direct_response":{"status":200}}]}]}`)
	}
	in := decoded(t, listener(t, `"rds":{"route_config_name":"r","config_source":{"path_config_source":{"path":"/etc/routes.yaml"}}}`))
	was := decoded(t, routes("/"))
	now := &config.Snapshot{
		Listeners: map[string]*config.Resource{"in": in},
		Routes:    map[string]*config.Resource{in.Refs[0].Key(): was},
	}
	sample := []flows.Request{{Listener: "in", Method: "GET", Host: "a", Path: "/x"}}
	r := dryrun.Run(now, dryrun.Proposal{Resources: []*anypb.Any{routes("/y")}}, decode, sample)
	if len(r.Changes) != 1 || r.Changes[0].What != "changed" || len(r.Lost) != 1 || len(r.Rejected) != 0 {
		t.Errorf("%+v", r)
	}
}

// Scoped routes: a request is known by the key that it had, for the fields that make it are not kept.
func TestDryRunOfScopedRoutes(t *testing.T) {
	scope := func(name, key, table string) *anypb.Any {
		return read(t, &routev3.ScopedRouteConfiguration{}, fmt.Sprintf(`{"name":%q,"key":{"fragments":[{"string_key":%q}]},"route_configuration_name":%q}`, name, key, table))
	}
	one, two := decoded(t, scope("one", "1", "r")), decoded(t, scope("two", "2", "s"))
	now := &config.Snapshot{
		Listeners: map[string]*config.Resource{"in": decoded(t, listener(t, `"scoped_routes":{"name":"sr","scope_key_builder":{"fragments":[
			{"header_value_extractor":{"name":"x-scope","index":0}}]},"rds_config_source":{"ads":{}},"scoped_rds":{"scoped_rds_config_source":{"ads":{}}}}`))},
		Clusters: map[string]*config.Resource{"a": decoded(t, clusterOf(t, "a")), "b": decoded(t, clusterOf(t, "b"))},
		Scopes:   map[string]*config.Resource{"one": one, "two": two},
		Routes:   map[string]*config.Resource{"r": decoded(t, to(t, "r", "a")), "s": decoded(t, to(t, "s", "b"))},
	}
	key := func(r *config.Resource) string {
		return (&config.Snapshot{Scopes: map[string]*config.Resource{"x": r}}).Scope("x").Key
	}
	sample := []flows.Request{
		{Listener: "in", Method: "GET", Host: "h", Path: "/1", Scope: key(one)}, {Listener: "in", Method: "GET", Host: "h", Path: "/2", Scope: key(two)},
	}
	f := func(p []*anypb.Any, moved, lost string) {
		t.Helper()
		r := dryrun.Run(now, dryrun.Proposal{Resources: p}, decode, sample)
		var got [2]string
		for i, l := range [][]dryrun.Move{r.Moved, r.Lost} {
			for _, m := range l {
				got[i] += fmt.Sprintf("%s %s→%s;", m.Example.Path, m.Was, m.Now)
			}
		}
		if got != [2]string{moved, lost} || len(r.Rejected) > 0 {
			t.Errorf("moved %q, lost %q, rejected %v", got[0], got[1], r.Rejected)
		}
	}
	f([]*anypb.Any{scope("one", "1", "r"), scope("two", "2", "s")}, "", "")
	f([]*anypb.Any{scope("one", "1", "s"), scope("two", "2", "s")}, "/1 cluster a→cluster b;", "")
	f([]*anypb.Any{scope("one", "1", "r"), scope("two", "3", "s")}, "", "/2 cluster b→NOWHERE, answered 404: no scope of routes has the request;")
	f([]*anypb.Any{to(t, "r", "b")}, "/1 cluster a→cluster b;", "")
}

// Virtual hosts that come by themselves are part of their table.
func TestDryRunOfDiscoveredHosts(t *testing.T) {
	host := func(cluster string) *anypb.Any {
		return read(t, &routev3.VirtualHost{}, fmt.Sprintf(`{"name":"vh","domains":["h"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":%q}}]}`, cluster))
	}
	h := decoded(t, host("a"))
	h.Name = "r/vh"
	now := &config.Snapshot{
		Listeners: map[string]*config.Resource{"in": decoded(t, listener(t, `"rds":{"route_config_name":"r","config_source":{"ads":{}}}`))},
		Clusters:  map[string]*config.Resource{"a": decoded(t, clusterOf(t, "a")), "b": decoded(t, clusterOf(t, "b"))},
		Routes:    map[string]*config.Resource{"r": decoded(t, read(t, &routev3.RouteConfiguration{}, `{"name":"r","vhds":{"config_source":{"ads":{}}}}`))},
		Hosts:     map[string]*config.Resource{"r/vh": h},
	}
	q := flows.Request{Listener: "in", Method: "GET", Host: "h", Path: "/"}
	if w := dryrun.NewDecider(now).Decide(&q); w.Cluster != "a" || w.Lost != "" || w.Route != "vh.routes[0]" {
		t.Errorf("%+v", w)
	}
	then := *now
	h2 := decoded(t, host("b"))
	h2.Name = "r/vh"
	then.Hosts = map[string]*config.Resource{"r/vh": h2}
	if w := dryrun.NewDecider(&then).Decide(&q); w.Cluster != "b" || w.Lost != "" {
		t.Errorf("%+v", w)
	}
	then.Hosts = nil
	if w := dryrun.NewDecider(&then).Decide(&q); !strings.Contains(w.Lost, "404") {
		t.Errorf("%+v", w)
	}
}

// Connections that are passed on as they are are in the sample too, and so are requests with the key of their scope: both in real life.
func TestDryRunOfWhatWasSampled(t *testing.T) {
	origin := rig.Origin(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	r := rig.New(t, rig.Options{Config: rig.Expand(fmt.Sprintf(`
listeners:
- name: tcp
  address: {$loopback}
  filter_chains: [{filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: a}}]}]
- name: scoped
  address: {$loopback}
  filter_chains: [{filters: [{name: hcm, typed_config: {$hcm, stat_prefix: test, http_filters: [$router], scoped_routes: {name: sr,
    scope_key_builder: {fragments: [{header_value_extractor: {name: x-scope, index: 0}}]},
    scoped_route_configurations_list: {scoped_route_configurations: [{name: one, key: {fragments: [{string_key: "1"}]},
      route_configuration: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]}}]}}}}]}]
clusters:
- {name: a, type: STATIC, connect_timeout: 1s, load_assignment: %s}`, rig.Endpoint("a", origin)))})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(listener string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addressOf(t, r, listener)+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x-scope", "1")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatal(listener, resp.Status)
		}
	}
	seen := map[string]dryrun.Way{}
	if !rig.Eventually(func() bool { // the sample takes one in a while
		ask("tcp")
		ask("scoped")
		for _, q := range r.Proxy.Flows().Sample() {
			if (q.Method == "") != (q.Listener == "tcp") {
				t.Fatalf("%+v", q)
			}
			seen[q.Listener] = dryrun.NewDecider(r.Proxy.Snapshot()).Decide(&q)
		}
		return len(seen) == 2
	}) {
		t.Fatalf("%+v", seen)
	}
	for name, w := range seen {
		if w.Cluster != "a" || w.Lost != "" {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

func addressOf(t *testing.T, r *rig.Rig, listener string) string {
	for _, l := range r.Proxy.Listeners() {
		if l.Name == listener {
			return l.Addresses[0].String()
		}
	}
	t.Fatalf("no listener %s", listener)
	return ""
}

// BenchmarkDryRun is a dry run over a full sample.
func BenchmarkDryRun(b *testing.B) {
	now := &config.Snapshot{
		Listeners: map[string]*config.Resource{"in": decoded(b, listener(b, `"rds":{"route_config_name":"r","config_source":{"ads":{}}}`))},
		Clusters:  map[string]*config.Resource{"a": decoded(b, clusterOf(b, "a"))},
		Routes:    map[string]*config.Resource{"r": decoded(b, to(b, "r", "a"))},
	}
	sample := make([]flows.Request, 512)
	for i := range sample {
		sample[i] = flows.Request{Listener: "in", Method: "GET", Host: "h", Path: fmt.Sprint("/", i)}
	}
	p := dryrun.Proposal{Resources: []*anypb.Any{to(b, "r", "b")}}
	for b.Loop() {
		if r := dryrun.Run(now, p, decode, sample); len(r.Lost) != 1 || r.Lost[0].Count != len(sample) {
			b.Fatalf("%+v", r)
		}
	}
}
