package xds_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
	"google.golang.org/protobuf/proto"
)

func TestPushIsServedAndAcknowledged(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80), rdsListener(t, "in", "r"), routeTo("r", "a"))
	w.connect(xds.Options{})
	w.wait("the listener with all it needs", func() bool {
		s := w.last()
		return s.Listeners["in"] != nil && s.Routes["r"] != nil && s.Clusters["a"] != nil && s.Endpoints["a"] != nil
	})
	for _, url := range []string{xds.ClusterType, xds.EndpointType, xds.ListenerType, xds.RouteType} {
		w.wait("the ACK of "+url, func() bool { return w.answered(url, "") })
	}
	if n := w.seen()[0].Node; n != "gw-1" {
		t.Errorf("node is %q", n)
	}

	before := w.now()
	w.set(edsCluster("a"), edsCluster("b"), assignment("a", 80), assignment("b", 81), rdsListener(t, "in", "r"), routeTo("r", "b"))
	w.wait("the new route", func() bool { return w.last().Routes["r"] != before.Routes["r"] })
	after := w.now()
	if after.Clusters["b"] == nil || after.Endpoints["b"] == nil {
		t.Error("the route goes to b before b is there")
	}
	if after.Clusters["a"] != before.Clusters["a"] || after.Listeners["in"] != before.Listeners["in"] {
		t.Error("resources that did not change are not the same pointers")
	}
	if n := w.client.Stats().Type(xds.RouteType).Success.Load(); n != 2 {
		t.Errorf("RDS update_success is %d, want 2", n)
	}
	if n := w.client.Stats().Connected.Load(); n != 1 {
		t.Errorf("connected_state is %d, want 1", n)
	}
}

func TestRefusedPushIsVisible(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{AllowInconsistent: true})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{})
	w.wait("the first cluster", func() bool { return w.last().Clusters["a"] != nil })

	broken := edsCluster("c")
	broken.AltStatName = "panic"
	w.set(badCluster("a"), edsCluster("b"), broken, assignment("a", 80), assignment("b", 81))
	w.wait("the NACK", func() bool {
		return w.answered(xds.ClusterType, `cluster "a": connect_timeout: value must be greater than 0s`) &&
			w.answered(xds.ClusterType, `cluster "c": decoder panicked: told to`)
	})
	w.wait("the good one of the refused push", func() bool { return w.last().Clusters["b"] != nil })
	if w.now().Clusters["a"] == nil {
		t.Error("the refused version took the last good one along")
	}
	st := w.client.Status()
	if n := nackOf(st, xds.ClusterType); n == nil || !n.Standing || !strings.Contains(n.Text, "connect_timeout") {
		t.Errorf("status shows no NACK: %+v", n)
	}

	w.set(edsCluster("a"), edsCluster("b"), assignment("a", 80), assignment("b", 81))
	w.wait("the ACK of the repair", func() bool { return w.answered(xds.ClusterType, "") })
	nacks := 0
	for _, a := range w.seen() {
		if a.Err != "" {
			nacks++
		}
	}
	if nacks != 1 {
		t.Errorf("%d NACKs for one refused version", nacks)
	}
	if r := w.client.Stats().Type(xds.ClusterType).Rejected.Load(); r != 1 {
		t.Errorf("update_rejected is %d", r)
	}
}

func TestServerRestart(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{RetryMax: 10 * time.Millisecond})
	w.wait("the first cluster", func() bool { return w.last().Clusters["a"] != nil })
	before := w.now()

	w.stop()
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.note(func() { w.answers = nil })
	w.wait("the ACK on the new stream", func() bool { return w.answered(xds.ClusterType, "") && w.answered(xds.EndpointType, "") })
	if s := w.now(); s != before {
		t.Errorf("a restart with the same resources made snapshot %d after %d", s.Version, before.Version)
	}
	w.set(edsCluster("a"), assignment("a", 81))
	w.wait("what the new server changed", func() bool { return w.last() != before })
}

func TestManyResources(t *testing.T) {
	const n = 2000
	w := newWorld(t)
	w.serve("", server.Options{})
	var all []proto.Message
	for i := range n {
		name := fmt.Sprintf("cluster-%05d", i)
		all = append(all, edsCluster(name), assignment(name, 80))
	}
	w.set(all...)
	w.connect(xds.Options{})
	w.wait("every cluster", func() bool { return len(w.last().Clusters) == n && len(w.last().Endpoints) == n })
	before := w.now()
	all[1] = assignment("cluster-00000", 81)
	w.set(all...)
	w.wait("the change", func() bool { return w.last() != before })
	changed := 0
	for name, r := range w.now().Endpoints {
		if before.Endpoints[name] != r {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d endpoints changed, want 1", changed)
	}
}

func TestStreamsOfSingleTypes(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80), rdsListener(t, "in", "r"), routeTo("r", "a"))
	var remotes []xds.Remote
	for _, url := range []string{xds.ClusterType, xds.EndpointType, xds.ListenerType, xds.RouteType} {
		remotes = append(remotes, &xds.ADS{
			Name: url, Single: true, Types: []xds.SourceType{{TypeURL: url}}, Services: xds.Servers(w.addr),
		})
	}
	w.connect(xds.Options{Remotes: remotes})
	w.wait("the listener with all it needs", func() bool {
		s := w.last()
		return s.Listeners["in"] != nil && s.Routes["r"] != nil && s.Clusters["a"] != nil && s.Endpoints["a"] != nil
	})
	if n := w.client.Stats().Connected.Load(); n != 4 {
		t.Errorf("connected_state is %d, want 4", n)
	}
	if !w.client.Status().Ready {
		t.Error("not ready")
	}
}

func TestDeadTargetIsPassedOver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{ADS: &xds.ADS{Services: xds.Servers(dead, w.addr)}})
	w.wait("the cluster", func() bool { return w.last().Clusters["a"] != nil })
	if f := w.client.Stats().Type(xds.ClusterType).Failure.Load(); f != 0 {
		t.Errorf("update_failure is %d: the next one was not tried at once", f)
	}
}

func TestDialAndUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xds.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.serveOn(l, "", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	for name, ads := range map[string]*xds.ADS{
		"target": {Services: xds.Servers("unix:" + path)},
		"dial": {Services: []xds.Service{{Name: "xds", Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}},
	} {
		t.Run(name, func(t *testing.T) {
			w.note(func() { w.snaps = nil })
			w.connect(xds.Options{ADS: ads})
			w.wait("the cluster", func() bool { return w.last().Clusters["a"] != nil })
		})
	}
}

func TestApplyErrorIsVisible(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{Apply: func(s *config.Snapshot) error {
		if s.Clusters["a"] != nil {
			return errors.New("no memory left")
		}
		return nil
	}})
	w.wait("the error", func() bool {
		st := w.client.Status()
		return st.ApplyErr == "no memory left" && st.Applied == st.Snapshot
	})
}

func TestRunNeedsDecodeAndApply(t *testing.T) {
	if err := xds.New(xds.Options{}).Run(t.Context()); err == nil {
		t.Error("no error")
	}
}
