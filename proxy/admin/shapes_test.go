package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds"
)

const spine = `
node: {id: n1, cluster: c1, locality: {zone: z}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
static_resources:
  listeners:
  - name: l0
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config: {name: r0, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]}
          http_filters:
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: a
    connect_timeout: 1s
    type: STATIC
    outlier_detection: {}
    circuit_breakers: {thresholds: [{max_requests: 7}, {priority: HIGH, max_retries: 9}]}
    load_assignment:
      cluster_name: a
      endpoints:
      - locality: {region: r, zone: z, sub_zone: s}
        lb_endpoints:
        - {load_balancing_weight: 5, endpoint: {hostname: h.example, address: {socket_address: {address: 127.0.0.1, port_value: 29081}}}}
        - {health_status: DRAINING, endpoint: {address: {socket_address: {address: 127.0.0.2, port_value: 29081}}}}
        - {health_status: UNHEALTHY, endpoint: {address: {socket_address: {address: 127.0.0.3, port_value: 29081}}}}
        - {health_status: DEGRADED, endpoint: {address: {socket_address: {address: "::1", port_value: 29081}}}}
      - priority: 1
        lb_endpoints:
        - {endpoint: {address: {pipe: {path: /run/origin.sock}}}}
`

// port hides the port that the kernel chose.
func (w *world) port(s string) string {
	for _, a := range w.proxy.Addresses() {
		s = strings.ReplaceAll(s, fmt.Sprint(a.Port()), "PORT")
	}
	return s
}

func TestShapes(t *testing.T) {
	w := newWorld(t, spine, Options{Version: "abc/1.0/Clean/RELEASE"})
	w.apply(t)
	for name, path := range map[string]string{
		"clusters.txt":            "/clusters",
		"clusters.json":           "/clusters?format=json",
		"listeners.txt":           "/listeners",
		"listeners.json":          "/listeners?format=json",
		"config_dump.json":        "/config_dump",
		"endpoints.json":          "/config_dump?include_eds&resource=static_endpoint_configs",
		"static_clusters.json":    "/config_dump?resource=static_clusters&mask=cluster.name,last_updated",
		"mask.json":               "/config_dump?mask=bootstrap.node.id,static_listeners.listener.filter_chains.filters.typed_config.stat_prefix",
		"name_regex.json":         "/config_dump?name_regex=^r0$&mask=static_clusters,static_listeners,static_route_configs.route_config.name",
		"dynamic_none.json":       "/config_dump?resource=dynamic_listeners",
		"runtime_none.json":       "/runtime",
		"certs_none.json":         "/certs",
		"init_dump_none.json":     "/init_dump",
		"hot_restart_version.txt": "/hot_restart_version",
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, w.port(w.get(t, path))) })
	}
}

// What text says, JSON says.
func TestClustersTextAndJSONAgree(t *testing.T) {
	w := newWorld(t, spine, Options{})
	w.apply(t)
	text := w.get(t, "/clusters")
	var m adminv3.Clusters
	if err := protojson.Unmarshal([]byte(w.get(t, "/clusters?format=json")), &m); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range m.GetClusterStatuses() {
		for _, h := range c.GetHostStatuses() {
			at := h.GetAddress().GetPipe().GetPath()
			if s := h.GetAddress().GetSocketAddress(); s != nil {
				at = net.JoinHostPort(s.GetAddress(), fmt.Sprint(s.GetPortValue()))
			}
			for _, st := range h.GetStats() {
				n++
				if line := fmt.Sprintf("%s::%s::%s::%d\n", c.GetName(), at, st.GetName(), st.GetValue()); !strings.Contains(text, line) {
					t.Errorf("text has not %q", line)
				}
			}
			if line := fmt.Sprintf("%s::%s::weight::%d\n", c.GetName(), at, h.GetWeight()); !strings.Contains(text, line) {
				t.Errorf("text has not %q", line)
			}
		}
	}
	if n != 5*9 {
		t.Errorf("%d numbers compared", n)
	}
	if got := w.get(t, "/clusters?filter=nothing"); got != "" {
		t.Errorf("filtered: %q", got)
	}
	if code, _, body := w.ask(t, "GET /clusters?filter=("); code != 400 {
		t.Errorf("filter=(: %d %q", code, body)
	}
}

func TestServerInfo(t *testing.T) {
	w := newWorld(t, spine, Options{Version: "abc/1.0/Clean/RELEASE", CommandLine: &adminv3.CommandLineOptions{
		ConfigPath: "weir.yaml", Concurrency: 2, DrainTime: durationpb.New(600 * time.Second), ConfigYaml: "a: key",
	}})
	got := w.get(t, "/server_info")
	got = regexp.MustCompile(`"(uptime_\w+)": "\d+s"`).ReplaceAllString(got, `"$1": "UPs"`)
	golden(t, "server_info.json", got)
	if strings.Contains(got, "a: key") {
		t.Error("the text of --config-yaml is shown")
	}
}

func TestRuntime(t *testing.T) {
	w := newWorld(t, `
layered_runtime:
  layers:
  - name: base
    static_layer: {a: {b: 1, c: text}, d: true, e: {numerator: 5, denominator: HUNDRED}}
  - name: over
    static_layer: {a: {b: 2.5}}
  - name: admin
    admin_layer: {}
`, Options{})
	golden(t, "runtime.json", w.get(t, "/runtime"))
	f := func(request string, code int, want string) {
		t.Helper()
		if c, _, body := w.ask(t, request); c != code || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %q", request, c, body)
		}
	}
	f("POST /runtime_modify", 400, "usage: /runtime_modify?key1=value1")
	f("POST /runtime_modify?a.b=7&d=&new={numerator:1}", 200, "OK\n")
	golden(t, "runtime_modified.json", w.get(t, "/runtime"))
	f("POST /runtime_modify?a.b=&new=", 200, "OK\n")
	f("GET /runtime_modify?a=b", 405, "Method GET not allowed")
	golden(t, "runtime.json", w.get(t, "/runtime"))
	if got := w.get(t, "/stats?filter=^runtime.num"); got != "runtime.num_keys: 4\nruntime.num_layers: 3\n" {
		t.Error(got)
	}
}

func TestMemory(t *testing.T) {
	w := newWorld(t, "", Options{})
	var m map[string]string
	if err := json.Unmarshal([]byte(w.get(t, "/memory")), &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"allocated", "heap_size", "total_physical_bytes"} {
		if m[name] == "" || m[name] == "0" {
			t.Errorf("%s is %q", name, m[name])
		}
	}
	for _, name := range []string{"pageheap_unmapped", "pageheap_free", "total_thread_cache"} {
		if m[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestConfigDumpErrors(t *testing.T) {
	w := newWorld(t, spine, Options{})
	w.apply(t)
	f := func(query string, code int, want string) {
		t.Helper()
		if c, _, body := w.ask(t, "GET /config_dump?"+query); c != code || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %q, want %d %q", query, c, body, code, want)
		}
	}
	f("resource=foo", 404, "foo not found in config dump\n")
	f("resource=static_endpoint_configs", 404, "static_endpoint_configs not found") // without include_eds
	f("resource=bootstrap", 400, "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field\n")
	f("mask=foo", 400, "FieldMask foo could not be successfully applied to any configs.\n")
	f("mask=bootstrap.node.id.x", 400, "FieldMask bootstrap.node.id.x could not")
	f("resource=static_clusters&mask=foo", 400, "FieldMask foo could not")
	f("name_regex=(", 400, "INVALID_ARGUMENT: Error while parsing name_regex from (: ")
}

// session is a real xDS session before the data plane: what a control plane sends
// goes in, and what serves comes out.
type session struct {
	*xds.Session
	w   *world
	t   *testing.T
	now time.Time
}

func newSession(t *testing.T, w *world) *session {
	s := &session{w: w, t: t, now: time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC)}
	var types []xds.SourceType
	for _, r := range config.Types() {
		types = append(types, xds.SourceType{TypeURL: r.TypeURL})
	}
	s.Session = xds.NewSession(xds.SessionOptions{
		Static: w.static, Sources: []xds.Source{{Name: "ads", Types: types}},
	})
	s.step(xds.Started{})
	s.step(xds.Connected{})
	return s
}

func (s *session) step(h xds.Happening) {
	s.now = s.now.Add(time.Second)
	for _, a := range s.Step(xds.Event{At: s.now, What: h}) {
		switch a := a.(type) {
		case xds.DecodeItems:
			d := xds.Decoded{TypeURL: a.TypeURL, Seq: a.Seq}
			for _, item := range a.Items {
				r, err := s.w.dec.Decode(a.TypeURL, item, false)
				d.Results = append(d.Results, xds.Result{Resource: r, Err: err})
			}
			s.step(d)
		case xds.Publish:
			s.step(xds.Applied{Version: a.Snapshot.Version, Err: s.w.proxy.Apply(a.Snapshot)})
		}
	}
}

// push sends resources as JSON.
func (s *session) push(typeURL, version string, resources ...string) {
	s.t.Helper()
	r := &discoveryv3.DiscoveryResponse{TypeUrl: typeURL, VersionInfo: version, Nonce: "n" + version}
	for _, text := range resources {
		a := &anypb.Any{}
		if err := protojson.Unmarshal([]byte(`{"@type":"`+typeURL+`",`+text+`}`), a); err != nil {
			s.t.Fatal(err)
		}
		r.Resources = append(r.Resources, a)
	}
	s.step(xds.Received{Response: r})
}

const (
	dynamicListener = `"name":"in","address":{"socket_address":{"address":"127.0.0.1","port_value":0}},
		"filter_chains":[{"filters":[{"name":"t","typed_config":{
			"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
			"stat_prefix":"in","rds":{"route_config_name":"r","config_source":{"ads":{}}},
			"http_filters":[{"name":"envoy.filters.http.router","typed_config":{
				"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]`
	edsCluster = `"type":"EDS","eds_cluster_config":{"eds_config":{"ads":{}}}`
	route      = `"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"b"}}]}]`
)

func TestDynamic(t *testing.T) {
	s := (*session)(nil)
	w := newWorld(t, spine, Options{XDS: func() xds.Status { return s.Status() }})
	s = newSession(t, w)
	s.push(config.ClusterURL, "1", `"name":"b",`+edsCluster, `"name":"waits",`+edsCluster)
	s.push(config.AssignmentURL, "1", `"cluster_name":"b","endpoints":[{"lb_endpoints":[{"endpoint":{"address":{"socket_address":{
		"address":"127.0.0.1","port_value":29082}}}}]}]`)
	s.push(config.ListenerURL, "1", dynamicListener)
	s.push(config.RouteURL, "1", route)
	// Refused: one that serves in an older version, one that never did.
	s.push(config.ClusterURL, "2", `"name":"b","type":"EDS"`, `"name":"waits",`+edsCluster, `"name":"never","lb_policy":"RING_HASH","connect_timeout":"-1s"`)
	s.push(config.RouteURL, "2", `"name":"r","virtual_hosts":[{"name":"v","domains":[]}]`)

	for name, path := range map[string]string{
		"dynamic.json":           "/config_dump?mask=version_info,dynamic_active_clusters,dynamic_warming_clusters,dynamic_listeners,dynamic_route_configs",
		"dynamic_endpoints.json": "/config_dump?include_eds&resource=dynamic_endpoint_configs",
		"init_dump.json":         "/init_dump",
		"csds.json":              "/csds?exclude_resource_contents",
	} {
		golden(t, name, w.get(t, path))
	}
	if text := w.get(t, "/clusters?filter=^b$"); !strings.Contains(text, "b::added_via_api::true\n") {
		t.Errorf("/clusters: %s", text)
	}

	if all := w.get(t, "/csds"); all != w.get(t, "/v3/discovery:client_status") || !strings.Contains(all, `"xds_config"`) {
		t.Errorf("/csds: %s", all)
	}
	if code, _, body := w.ask(t, "POST /v3/discovery:client_status"); code != 200 || !strings.Contains(body, `"client_status": "NACKED"`) {
		t.Errorf("POST: %d %q", code, body)
	}

	age := regexp.MustCompile(`("for_s": |for |, )[0-9hms.]+( now)?(,?\n)`)
	golden(t, "xds.json", age.ReplaceAllString(w.get(t, "/xds?format=json"), "${1}AGE$2$3"))
	golden(t, "xds.txt", age.ReplaceAllString(w.get(t, "/xds"), "${1}AGE$2$3"))

	st := newXDSStatus(s.Status(), s.now.Add(41*time.Second))
	if len(st.Warming) == 0 || st.Warming[0].Name != "waits" || st.Warming[0].For < 41 || st.Warming[0].For > 60 {
		t.Errorf("warming: %+v", st.Warming)
	}
}

func TestNoXDS(t *testing.T) {
	w := newWorld(t, "", Options{})
	if code, _, body := w.ask(t, "GET /xds"); code != 404 || body != "no xDS client runs in this process\n" {
		t.Errorf("%d %q", code, body)
	}
}
