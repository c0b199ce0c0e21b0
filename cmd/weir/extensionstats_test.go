package main

import (
	"testing"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
)

func TestExtensionStats(t *testing.T) {
	store := stats.NewStore()
	p := newExtensionPublisher(store.Scope(""), extension.NewRegistry(builtin.Filters()))
	s := xds.SecretStatus{
		Name: "f", Key: "f", Types: "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
		Counters: xds.Counters{Attempt: 3, Success: 1, Rejected: 2},
	}
	for range 2 {
		p.publish([]xds.SecretStatus{s, {Name: "unknown", Key: "unknown"}})
	}
	for name, want := range map[string]int64{"update_attempt": 3, "update_success": 1, "update_rejected": 2, "config_fail": 2} {
		if v, _ := store.Value("extension_config_discovery.http_filter.f." + name); v != want {
			t.Errorf("%s is %d, want %d", name, v, want)
		}
	}
}
