package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
)

func names(c *Cluster) string {
	var out []string
	for _, h := range c.Hosts() {
		out = append(out, h.Name)
	}
	return strings.Join(out, " ")
}

func eds(name string) *cluster.Cluster {
	c := static(name)
	c.Type, c.Assignment, c.EDSName = cluster.EDS, nil, "service-"+name
	return c
}

// endpoints puts an assignment in force for an EDS cluster.
func (r *rig) endpoints(name string, a *cluster.Assignment) {
	next := &config.Snapshot{Clusters: r.snap.Clusters, Endpoints: map[string]*config.Resource{}}
	for k, v := range r.snap.Endpoints {
		next.Endpoints[k] = v
	}
	next.Endpoints["service-"+name] = &config.Resource{Value: a}
	r.put(next)
}

func TestEndpointUpdateKeepsHostsThatStay(t *testing.T) {
	a, b := newOrigin(t), newOrigin(t)
	r := newRig(t, Options{})
	r.apply(eds("x"))
	c := r.get("x")
	if got := names(c); got != "" {
		t.Errorf("without an assignment: %q", got)
	}
	r.endpoints("x", assignment("x", a.addr, b.addr))
	open := map[*Host]*Attempt{}
	for i := range 4 {
		h, err := c.Pick(&PickInfo{Rand: uint64(i) + 1})
		if err != nil {
			t.Fatal(err)
		}
		at, oerr := c.OpenHTTP(context.Background(), h, &OpenInfo{})
		if oerr != nil {
			t.Fatal(oerr)
		}
		roundTrip(t, at)
		if open[h] == nil {
			open[h] = at // kept in use
		} else {
			at.Release()
		}
	}
	// a leaves: its idle connection closes, the one in use may finish; b keeps both.
	r.endpoints("x", assignment("x", b.addr))
	if got := names(c); got != b.addr.String() {
		t.Errorf("hosts %q, want %s", got, b.addr)
	}
	if got := c.Stats().CxActive.Value(); got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
	for _, at := range open {
		at.Release()
	}
	if got := c.Stats().CxActive.Value(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
	if got := c.Stats().MembershipTotal.Value(); got != 1 {
		t.Errorf("membership_total %d", got)
	}
	at := mustOpen(t, c, &OpenInfo{})
	if !at.Reused {
		t.Error("the host that stayed lost its connections")
	}
	at.Release()
}

func TestUnchangedClusterIsNotTouched(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a", addrs(2)...)
	r.apply(cfg)
	c, before := r.get("a"), r.get("a").set.Load()
	r.apply(static("b", addrs(1)...)) // a new snapshot with the same pointer for a
	if r.get("a") != c || c.set.Load() != before {
		t.Error("a cluster was rebuilt by a snapshot that did not change it")
	}
	if len(r.m.Clusters()) != 2 {
		t.Errorf("%d clusters", len(r.m.Clusters()))
	}
}

func TestChangedClusterKeepsHosts(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", o.addr)
	cfg.Outlier = &cluster.Outlier{Consecutive5xx: 1, EnforcingConsecutive5xx: 100, MaxEjectionPercent: 100, AlwaysEjectOne: true, BaseEjection: time.Hour, Interval: time.Hour}
	r.apply(cfg)
	c := r.get("a")
	at := mustOpen(t, c, &OpenInfo{})
	h := at.Host
	roundTrip(t, at)
	at.Release()
	h.Report(Outcome{Code: 500})
	if !h.Ejected() {
		t.Fatal("not ejected")
	}
	mustOpen(t, c, &OpenInfo{}).Release() // in panic
	next := *cfg
	next.ConnectTimeout = time.Second
	r.apply(&next)
	if got := c.Hosts(); len(got) != 1 || !got[0].Ejected || got[0].CxIdle != 1 || got[0].RqTotal != 2 {
		t.Errorf("after the change: %+v", got)
	}
	// Other socket options: the connections go, the host stays.
	third := next
	third.KeepAlive = &cluster.KeepAlive{Time: time.Minute}
	r.apply(&third)
	if got := c.Hosts(); got[0].CxIdle != 0 || !got[0].Ejected {
		t.Errorf("after other socket options: %+v", got)
	}
	// Without outlier detection nobody is ejected.
	fourth := third
	fourth.Outlier = nil
	r.apply(&fourth)
	if h.Ejected() || c.outlier.Active.Value() != 0 {
		t.Error("still ejected")
	}
}

func TestRemovedClusterDrains(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")
	busy, idle := mustOpen(t, c, &OpenInfo{}), mustOpen(t, c, &OpenInfo{})
	roundTrip(t, idle)
	idle.Release()
	r.put(&config.Snapshot{})
	if _, ok := r.m.Get("a"); ok {
		t.Error("still found")
	}
	if got := c.Stats().CxActive.Value(); got != 1 {
		t.Errorf("%d connections, want the busy one", got)
	}
	roundTrip(t, busy)
	busy.Release()
	if got := c.Stats().CxActive.Value(); got != 0 {
		t.Errorf("%d connections", got)
	}
	if _, err := c.OpenHTTP(context.Background(), busy.Host, &OpenInfo{}); err == nil {
		t.Error("a removed cluster still opens connections")
	}
}

func TestUnsupportedClusterKeepsItsLastGoodConfiguration(t *testing.T) {
	r := newRig(t, Options{})
	r.apply(static("a", addrs(1)...))
	broken := static("a", addrs(2)...)
	broken.TransportSocket = &extension.Parsed{Factory: &extension.Factory{Name: "envoy.transport_sockets.tls"}}
	err := r.m.Apply(&config.Snapshot{Clusters: map[string]*config.Resource{
		"a": {Value: broken}, "b": {Value: static("b", addrs(1)...)},
	}})
	if err == nil || err.Error() != `cluster "a": transport_socket: envoy.transport_sockets.tls is not for upstream connections` {
		t.Errorf("got %v", err)
	}
	if got := names(r.get("a")); got != "192.0.2.1:80" {
		t.Errorf("a has %q", got)
	}
	r.get("b")
}

func TestHealthFlags(t *testing.T) {
	for _, tc := range []struct {
		h    HostInfo
		want string
	}{
		{HostInfo{}, "healthy"},
		{HostInfo{Health: cluster.Healthy, Ejected: true}, "/failed_outlier_check"},
		{HostInfo{Health: cluster.Draining, Ejected: true}, "/failed_outlier_check/failed_eds_health"},
		{HostInfo{Health: cluster.Degraded}, "/degraded_eds_health"},
	} {
		if got := tc.h.HealthFlags(); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.h, got, tc.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Op: "connect", Host: netip.MustParseAddrPort("192.0.2.1:80"), Details: DetailsConnectTimeout}
	if got := e.Error(); got != "connect 192.0.2.1:80: connection_timeout" {
		t.Error(got)
	}
	e.Err = fmt.Errorf("dial: %w", context.Canceled)
	if got := e.Error(); got != "connect 192.0.2.1:80: dial: context canceled" || !errors.Is(e, context.Canceled) {
		t.Error(got)
	}
}
