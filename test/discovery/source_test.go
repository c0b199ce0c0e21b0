package discovery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// own is a control plane behind a cluster of the bootstrap, in the incremental protocol.
const own = `{"resource_api_version":"V3","api_config_source":{"api_type":"DELTA_GRPC","transport_api_version":"V3","set_node_on_first_message_only":true,
	"grpc_services":[{"envoy_grpc":{"cluster_name":"cp"}}]}}`

// byEDS is a cluster whose endpoints come from a source, and what that is to serve: the hosts of an origin.
func (w *world) byEDS(name, source, more string, origin proto.Message) (cluster, endpoints proto.Message) {
	w.t.Helper()
	cluster = w.parse("envoy.config.cluster.v3.Cluster", fmt.Sprintf(
		`{"name":%q,"type":"EDS","connect_timeout":"1s","eds_cluster_config":{"service_name":"hosts","eds_config":%s}%s}`, name, source, more))
	a := origin.(*clusterv3.Cluster).GetLoadAssignment()
	a.ClusterName = "hosts"
	return cluster, a
}

// Requests go by routes and to endpoints that come from sources that their references name: another stream, and a file.
func TestSourcesOfReferences(t *testing.T) {
	w := newWorld(t, options{})
	file := filepath.Join(t.TempDir(), "eds.yaml")
	cluster, endpoints := w.byEDS("filed", fmt.Sprintf(`{"path_config_source":{"path":%q}}`, file), "", w.origin("one"))
	w.must(writeResources(file, endpoints))
	in := w.listener("in", hcm(`"rds":{"route_config_name":"r","config_source":`+own+`}`, ""))
	route := w.parse("envoy.config.route.v3.RouteConfiguration",
		`{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"filed"}}]}]}`)
	w.push(cluster, in, route)
	w.wait("the listener", func() bool { return w.at("in") != "" })
	if a := w.ask("in", "a", "/x"); a.body != "one /x" {
		t.Errorf("%d %s", a.code, a.body)
	}

	_, endpoints = w.byEDS("filed", "{}", "", w.origin("two"))
	w.must(writeResources(file, endpoints))
	w.wait("the other host", func() bool { return strings.HasPrefix(w.ask("in", "a", "/").body, "two") })

	other := w.parse("envoy.config.route.v3.RouteConfiguration",
		`{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[{"match":{"prefix":"/"},"direct_response":{"status":204}}]}]}`)
	w.push(cluster, in, other)
	w.wait("the other route", func() bool { return w.ask("in", "a", "/").code == 204 })
	if dump := w.get("/xds"); !strings.Contains(dump, "source cluster cp: connected") || !strings.Contains(dump, "source "+file+": read") {
		t.Errorf("/xds does not show the sources:\n%s", dump)
	}
}

// A cluster that changes is in force at once, with the endpoints that it had: the server does not send them again.
func TestChangedClusterKeepsItsEndpoints(t *testing.T) {
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("state of the world %v", sotw), func(t *testing.T) {
			w := newWorld(t, options{sotw: sotw})
			cluster, endpoints := w.byEDS("c", `{"ads":{}}`, "", w.origin("one"))
			in := w.listener("in", hcm(`"route_config":{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
				{"match":{"prefix":"/"},"route":{"cluster":"c"}}]}]}`, ""))
			w.push(cluster, endpoints, in)
			w.wait("the listener", func() bool { return w.at("in") != "" })
			if a := w.ask("in", "a", "/"); a.code != 200 {
				t.Fatalf("%d %s", a.code, a.body)
			}
			answers := w.plane.count("ClusterLoadAssignment")
			cluster, _ = w.byEDS("c", `{"ads":{}}`, `,"circuit_breakers":{"thresholds":[{"max_requests":0}]}`, w.origin("one"))
			begin := time.Now()
			w.plane.set(cluster, endpoints, in)
			w.wait("the policy", func() bool { return w.ask("in", "a", "/").code == 503 })
			if took := time.Since(begin); took > time.Second {
				t.Errorf("the policy was in force after %v", took)
			}
			if n := w.plane.count("ClusterLoadAssignment"); n != answers {
				t.Errorf("the endpoints were sent again")
			}
		})
	}
}

// count counts the answers about a type.
func (p *plane) count(message string) (n int) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, a := range p.answers {
		if strings.HasSuffix(a.TypeURL, "."+message) {
			n++
		}
	}
	return n
}

// writeResources writes a file for path_config_source, by moving it into place.
func writeResources(file string, m proto.Message) error {
	a, err := anypb.New(m)
	if err != nil {
		return err
	}
	b, err := protojson.Marshal(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{a}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
