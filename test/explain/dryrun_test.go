package explain

import (
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/proxy/explain/dryrun"
	"github.com/weirproxy/weir/proxy/hcm/recent"
	"github.com/weirproxy/weir/test/rig"
)

// TestDryRunOfRoutesOfTheirOwnSource: a route configuration that does not come by ADS is known by its name and its source, and is
// the one that a proposal of its name changes.
func TestDryRunOfRoutesOfTheirOwnSource(t *testing.T) {
	dec := &config.Decoder{Registry: rig.Registry(), Mode: support.Reject}
	decode := func(url string, a *anypb.Any, static bool) (*config.Resource, error) {
		return dec.Decode(url, a, static)
	}
	read := func(m proto.Message, text string) *anypb.Any {
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
	routes := func(prefix string) *anypb.Any {
		return read(&routev3.RouteConfiguration{}, `{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
			{"match":{"prefix":"`+prefix+`"},"direct_response":{"status":200}}]}]}`)
	}
	in, err := decode(config.ListenerURL, read(&listenerv3.Listener{}, rig.Expand(`{"name":"in","address":{"socket_address":{"address":"127.0.0.1","port_value":1}},
		"filter_chains":[{"filters":[{"name":"hcm","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix":"h","rds":{"route_config_name":"r","config_source":{"path_config_source":{"path":"/etc/routes.yaml"}}},
		"http_filters":[{"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}`)), false)
	if err != nil {
		t.Fatal(err)
	}
	was, err := decode(config.RouteURL, routes("/"), false)
	if err != nil {
		t.Fatal(err)
	}
	now := &config.Snapshot{
		Listeners: map[string]*config.Resource{"in": in},
		Routes:    map[string]*config.Resource{in.Refs[0].Key(): was},
	}
	sample := []recent.Request{{Listener: "in", Method: "GET", Host: "a", Path: "/x"}}
	r := dryrun.Run(now, dryrun.Proposal{Resources: []*anypb.Any{routes("/y")}}, decode, sample)
	if len(r.Changes) != 1 || r.Changes[0].What != "changed" || len(r.Lost) != 1 || len(r.Rejected) != 0 {
		t.Errorf("%+v", r)
	}
}
