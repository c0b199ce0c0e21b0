package xds_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// delta is a stream of the incremental protocol to the world's server.
func (w *world) delta() *xds.ADS { return &xds.ADS{Delta: true, Services: xds.Servers(w.addr)} }

func TestDeltaPushIsServedAndAcknowledged(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80), rdsListener(t, "in", "r"), routeTo("r", "a"))
	w.connect(xds.Options{ADS: w.delta()})
	w.wait("the listener with all it needs", func() bool {
		s := w.last()
		return s.Listeners["in"] != nil && s.Routes["r"] != nil && s.Clusters["a"] != nil && s.Endpoints["a"] != nil
	})
	for _, url := range []string{xds.ClusterType, xds.EndpointType, xds.ListenerType, xds.RouteType} {
		w.wait("the ACK of "+url, func() bool { return w.answered(url, "") })
	}
	if a := w.seen()[0]; a.Node != "gw-1" || !a.Delta {
		t.Errorf("first answer is %+v", a)
	}

	before := w.now()
	w.set(edsCluster("b"), assignment("b", 81), rdsListener(t, "in", "r"), routeTo("r", "b"))
	w.wait("the new cluster alone", func() bool { s := w.last(); return s.Clusters["b"] != nil && s.Clusters["a"] == nil })
	after := w.now()
	if after.Endpoints["b"] == nil || after.Endpoints["a"] != nil || after.Listeners["in"] != before.Listeners["in"] {
		t.Errorf("snapshot is %+v", after)
	}
}

func TestDeltaRefusedPush(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{ADS: w.delta()})
	w.wait("the first cluster", func() bool { return w.last().Clusters["a"] != nil })
	w.set(badCluster("a"), edsCluster("b"), assignment("a", 80), assignment("b", 81))
	w.wait("the NACK", func() bool {
		return w.answered(xds.ClusterType, `cluster "a": connect_timeout: value must be greater than 0s`)
	})
	w.wait("the good one of the refused push", func() bool { return w.last().Clusters["b"] != nil })
	if w.now().Clusters["a"] == nil {
		t.Error("the refused version took the last good one along")
	}
	w.set(edsCluster("a"), edsCluster("b"), assignment("a", 80), assignment("b", 81))
	w.wait("the ACK of the repair", func() bool { return w.answered(xds.ClusterType, "") })
}

// TestDeltaReconnect restarts a server of many clusters, one of which changed and one of which is gone meanwhile: nothing else is
// decoded, and nothing else changes.
func TestDeltaReconnect(t *testing.T) {
	const n = 500
	w := newWorld(t)
	w.serve("", server.Options{})
	var all []proto.Message
	for i := range n {
		name := fmt.Sprintf("cluster-%05d", i)
		all = append(all, edsCluster(name), assignment(name, 80))
	}
	w.set(all...)
	var decoded atomic.Int64
	w.connect(xds.Options{ADS: w.delta(), RetryMax: 10 * time.Millisecond, Decode: func(url string, a *anypb.Any) (*config.Resource, error) {
		decoded.Add(1)
		return decode(url, a)
	}})
	w.wait("every cluster", func() bool { return len(w.last().Clusters) == n && len(w.last().Endpoints) == n })
	before := w.now()
	if got := decoded.Load(); got != 2*n {
		t.Errorf("%d resources were decoded, want %d", got, 2*n)
	}

	w.stop()
	decoded.Store(0)
	w.serve("", server.Options{})
	all[1] = assignment("cluster-00000", 81)
	w.set(all[:2*n-2]...)
	w.wait("the change and the removal", func() bool {
		s := w.last()
		return len(s.Clusters) == n-1 && len(s.Endpoints) == n-1 && s.Endpoints["cluster-00000"] != before.Endpoints["cluster-00000"]
	})
	if got := decoded.Load(); got != 1 {
		t.Errorf("%d resources were decoded after a restart that changed 1", got)
	}
	after := w.now()
	for name, r := range after.Clusters {
		if before.Clusters[name] != r {
			t.Errorf("cluster %q is another object", name)
		}
	}
}

func TestDeltaStreamsOfSingleTypes(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80), rdsListener(t, "in", "r"), routeTo("r", "a"))
	var streams []xds.Remote
	for i, url := range []string{xds.ClusterType, xds.EndpointType, xds.ListenerType, xds.RouteType} {
		streams = append(streams, &xds.ADS{
			Name: url, Single: true, Delta: i != 2, Types: []xds.SourceType{{TypeURL: url}}, Services: xds.Servers(w.addr),
		})
	}
	w.connect(xds.Options{Remotes: streams})
	w.wait("the listener with all it needs", func() bool {
		s := w.last()
		return s.Listeners["in"] != nil && s.Routes["r"] != nil && s.Clusters["a"] != nil && s.Endpoints["a"] != nil
	})
	w.wait("an ACK of each", func() bool { return len(w.answers) >= 4 })
	for _, a := range w.seen() {
		if want := a.TypeURL != xds.ListenerType; a.Delta != want {
			t.Errorf("answer %+v: delta is %v, want %v", a, a.Delta, want)
		}
	}
}
