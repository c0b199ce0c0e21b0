package ondemand

import (
	"fmt"
	"testing"

	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a request without a route lacks.
func TestMissing(t *testing.T) {
	src := extension.Source{Cluster: "cp"}
	lazy := &route.LiveScope{Scope: &route.Scope{RouteName: "r", OnDemand: true}}
	eager := &route.LiveScope{Scope: &route.Scope{RouteName: "r"}}
	plain, hosts := &route.Table{Name: "t"}, &route.Table{Name: "t", Discovers: true, From: src}
	f := func(c *route.LiveScope, tb *route.Table, authority, want string) {
		t.Helper()
		ref, ok := missing(c, tb, []byte(authority))
		got := "nothing"
		if ok {
			got = fmt.Sprintf("%s %s %s", ref.TypeURL[len("type.googleapis.com/envoy.config."):], ref.Name, ref.Source)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", authority, got, want)
		}
	}
	f(nil, nil, "a", "nothing")
	f(nil, plain, "a", "nothing")
	f(eager, nil, "a", "nothing")
	f(lazy, plain, "a", "nothing")
	f(lazy, nil, "a", "route.v3.RouteConfiguration r ads")
	f(nil, hosts, "A.Example:8080", "route.v3.VirtualHost t/a.example:8080 cluster cp")
	f(lazy, hosts, "a", "route.v3.VirtualHost t/a cluster cp")
}

func TestParse(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		m := &ondemandv3.OnDemand{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		s, err := parse(m, nil)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%v %v %s", s.clusters, s.timeout, s.from)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	f(`{}`, "false 0s ads")
	f(`{"odcds":{"source":{"ads":{}}}}`, "true 5s ads")
	f(`{"odcds":{"source":{"ads":{}},"timeout":"1s"}}`, "true 1s ads")
	f(`{"odcds":{"source":{"ads":{}},"timeout":"-1s","resources_locator":"xdstp:"}}`,
		"odcds.timeout: negative duration -1s\nodcds.resources_locator: not supported")
	f(`{"odcds":{}}`, "odcds.source: unset (use ads, api_config_source or path_config_source)")
}
