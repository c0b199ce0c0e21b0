package upstream

import (
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"testing"

	"github.com/weirproxy/weir/config"
)

// crowd is a snapshot of n EDS clusters with an endpoint each.
func crowd(n int) *config.Snapshot {
	s := &config.Snapshot{Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{}}
	for i := range n {
		name := fmt.Sprintf("c%05d", i)
		s.Clusters[name] = &config.Resource{Name: name, Value: eds(name)}
		a := assignment(name, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80))
		s.Endpoints["service-"+name] = &config.Resource{Name: "service-" + name, Value: a}
	}
	return s
}

// TestApplyLooksAtWhatDiffers counts the clusters that an Apply looks at.
func TestApplyLooksAtWhatDiffers(t *testing.T) {
	const n = 500
	m := NewManager(Options{})
	s := crowd(n)
	looks := func(what string, s *config.Snapshot, want uint64) {
		t.Helper()
		before := m.visited
		if err := m.Apply(s); err != nil {
			t.Fatal(err)
		}
		if got := m.visited - before; got != want {
			t.Errorf("%s: looked at %d clusters, want %d", what, got, want)
		}
	}
	change := func(f func(*config.Snapshot)) *config.Snapshot {
		next := &config.Snapshot{Clusters: maps.Clone(s.Clusters), Endpoints: maps.Clone(s.Endpoints)}
		f(next)
		s = next
		return next
	}
	looks("all are new", s, n)
	looks("the same again", s, 0)
	looks("an equal one", change(func(*config.Snapshot) {}), 0)
	looks("an endpoint", change(func(s *config.Snapshot) {
		s.Endpoints["service-c00007"] = &config.Resource{Value: assignment("c00007", netip.MustParseAddrPort("10.1.1.1:80"))}
	}), 1)
	if c, _ := m.Get("c00007"); names(c) != "10.1.1.1:80" {
		t.Errorf("the endpoint is %s", names(c))
	}
	looks("a cluster", change(func(s *config.Snapshot) { s.Clusters["c00008"] = &config.Resource{Value: eds("c00008")} }), 1)
	looks("a cluster takes other endpoints", change(func(s *config.Snapshot) {
		c := eds("c00008")
		c.EDSName = "service-c00007"
		s.Clusters["c00008"] = &config.Resource{Value: c}
	}), 1)
	looks("endpoints of two", change(func(s *config.Snapshot) {
		s.Endpoints["service-c00007"] = &config.Resource{Value: assignment("c00007", netip.MustParseAddrPort("10.1.1.2:80"))}
	}), 2)
	if c, _ := m.Get("c00008"); names(c) != "10.1.1.2:80" {
		t.Errorf("the endpoint is %s", names(c))
	}
	looks("endpoints of none", change(func(s *config.Snapshot) { delete(s.Endpoints, "service-c00008") }), 0)
	looks("a cluster goes", change(func(s *config.Snapshot) { delete(s.Clusters, "c00009") }), 1)
	if _, ok := m.Get("c00009"); ok {
		t.Error("the cluster is still there")
	}
	if got := len(m.Clusters()); got != n-1 {
		t.Errorf("%d clusters", got)
	}
}

// TestIdleClusterIsSmall: what a cluster with one endpoint that nobody asks for holds, its statistics included. (About 4.5 KB.)
func TestIdleClusterIsSmall(t *testing.T) {
	const n, most = 2000, 8 << 10
	m := NewManager(Options{})
	if err := m.Apply(crowd(1)); err != nil { // what there is once
		t.Fatal(err)
	}
	s := crowd(n)
	before := live()
	if err := m.Apply(s); err != nil {
		t.Fatal(err)
	}
	each := (live() - before) / n
	t.Logf("%d bytes a cluster", each)
	if each > most {
		t.Errorf("an idle cluster holds %d bytes, at most %d are meant", each, most)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(m)
}

func live() int {
	var ms runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&ms)
	return int(ms.HeapAlloc)
}
