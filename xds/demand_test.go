package xds_test

import (
	"testing"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
)

// TestClustersOnDemand asks the real server for clusters by name, in both protocols, beside the wildcard and without one.
func TestClustersOnDemand(t *testing.T) {
	for _, delta := range []bool{false, true} {
		for _, onDemand := range []bool{false, true} {
			t.Run(map[bool]string{false: "state of the world", true: "delta"}[delta]+map[bool]string{true: ", no wildcard"}[onDemand], func(t *testing.T) {
				w := newWorld(t)
				w.serve("", server.Options{AllowInconsistent: true})
				w.set(edsCluster("a"), edsCluster("b"), assignment("a", 80), assignment("b", 80))
				found := map[string]bool{}
				w.connect(xds.Options{
					ADS: &xds.ADS{Services: xds.Servers(w.addr), Delta: delta, Types: []xds.SourceType{
						{TypeURL: xds.ClusterType, OnDemand: onDemand}, {TypeURL: xds.EndpointType}, {TypeURL: xds.ListenerType},
					}},
					Resolved: func(r xds.Resolved) { w.note(func() { found[r.Ref.Name] = r.Found }) },
				})
				ref := extension.Ref{TypeURL: xds.ClusterType, Name: "b"}
				w.wait("the first answer", func() bool { return w.answered(xds.ListenerType, "") })
				w.client.Subscribe(ref)
				w.wait("the cluster", func() bool { return found["b"] })
				if got, want := w.now().Clusters["a"] != nil, !onDemand; got != want {
					t.Errorf("the other cluster is there: %v, want %v", got, want)
				}
				w.set(edsCluster("a"), assignment("a", 80))
				w.wait("its end", func() bool { return !found["b"] })
				w.client.Unsubscribe(ref)
			})
		}
	}
}
