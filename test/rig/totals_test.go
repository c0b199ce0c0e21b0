package rig_test

import (
	"fmt"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// TestTotals counts what snapshots do to listeners and clusters.
func TestTotals(t *testing.T) {
	cluster := func(name, more string) string {
		return fmt.Sprintf("- {name: %s, type: STATIC, load_assignment: {cluster_name: %s}%s}\n", name, name, more)
	}
	listener := func(name, what string) string {
		return fmt.Sprintf("- name: %s\n  address: {$loopback}\n  filter_chains: [{filters: [{name: say, typed_config: {$direct_response, response: {inline_string: %s}}}]}]\n", name, what)
	}
	r := rig.New(t, rig.Options{Workers: 2, Config: "listeners:\n" + listener("a", "one") + "clusters:\n" + cluster("x", "") + cluster("y", "")})
	r.Apply("listeners:\n" + listener("a", "two") + listener("b", "one") + "clusters:\n" + cluster("x", ", connect_timeout: 9s") + cluster("z", ""))
	for name, want := range map[string]int64{
		"cluster_manager.cluster_added": 3, "cluster_manager.cluster_modified": 1, "cluster_manager.cluster_removed": 1,
		"cluster_manager.active_clusters": 2,
		"listener_manager.listener_added": 2, "listener_manager.listener_in_place_updated": 1, "listener_manager.total_listeners_active": 2,
		"listener_manager.listener_create_success": 4, "listener_manager.workers_started": 1,
	} {
		r.Await(name, want)
	}
}
