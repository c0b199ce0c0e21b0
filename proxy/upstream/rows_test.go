package upstream

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// picture writes what a cluster came to: its priorities, and in each the hosts with what is known of them and which are chosen among.
func picture(c *Cluster) string {
	s := c.set.Load()
	var b strings.Builder
	for i := range s.levels {
		l := &s.levels[i]
		fmt.Fprintf(&b, "priority %d: %d+%d panic %v\n", i, l.healthy, l.degraded, l.panicking)
		groups := [...]*group{l.ok, l.deg}
		switch {
		case l.panicking:
			groups = [...]*group{l.all, nil}
		case l.healthy == 0:
			groups[0] = nil
		}
		if l.degraded == 0 {
			groups[1] = nil
		}
		for k, g := range groups {
			if g == nil {
				continue
			}
			for _, h := range g.each(nil) {
				sp := h.spec.Load()
				fmt.Fprintf(&b, "  %d %s weight %d, %d of %v\n", k, h.key, sp.weight, sp.health, sp.place.localityKey)
			}
			if g.policy != nil && s.hashes { // others draw, or begin where a seed says
				for i := range uint64(20) {
					fmt.Fprintln(&b, "   ", g.pick(lbPick(scramble(i))).key)
				}
			}
		}
	}
	fmt.Fprintf(&b, "%d hosts, %d, %d and %d, weight %d\n", len(s.hosts), s.counts.total, s.counts.healthy, s.counts.degraded, s.top)
	for _, h := range s.hosts {
		fmt.Fprintln(&b, h.key)
	}
	return b.String()
}

// TestChangedEndpointsAreThoseOfANewCluster: whatever assignments come one after the other, a cluster is what one is that has only ever
// seen the last of them, and the hosts that stay are the same ones.
func TestChangedEndpointsAreThoseOfANewCluster(t *testing.T) {
	for _, name := range []string{"round_robin", "least_request", "random", "ring_hash"} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			cfg := eds("a")
			cfg.LB.Policy = policy(t, name, nil)
			cfg.LocalityWeighted = name == "random"
			cfg.Panic = 50
			m, s := NewManager(Options{}), &config.Snapshot{Clusters: map[string]*config.Resource{"a": {Value: cfg}}}
			apply := func(m *Manager, a *cluster.Assignment) *Cluster {
				s.Endpoints = map[string]*config.Resource{"service-a": {Value: a}}
				if err := m.Apply(s); err != nil {
					t.Fatal(err)
				}
				c, _ := m.Get("a")
				return c
			}
			a := &cluster.Assignment{Cluster: "a", Overprovisioning: 140}
			patched := 0
			for step := range 300 {
				a = mutate(r, a)
				before := map[string]*Host{}
				if c, ok := m.Get("a"); ok {
					for _, h := range c.order {
						before[h.key] = h
					}
				}
				c := apply(m, a)
				fresh := apply(NewManager(Options{}), a)
				if got, want := picture(c), picture(fresh); got != want {
					t.Fatalf("step %d:\n%s\nwant\n%s", step, got, want)
				}
				if len(c.rows) > 0 && len(before) > 0 && c.rows[0].hosts != nil {
					patched++
				}
				if len(c.byKey) != len(c.order) {
					t.Fatalf("step %d: %d hosts by address, %d in order", step, len(c.byKey), len(c.order))
				}
				for _, h := range c.order {
					if was := before[h.key]; was != nil && was != h {
						t.Fatalf("step %d: %s is another host", step, h.key)
					}
					if c.byKey[h.key] != h || h.removed.Load() {
						t.Fatalf("step %d: %s is not the host of its address", step, h.key)
					}
					delete(before, h.key)
				}
				for key, h := range before {
					if !h.removed.Load() {
						t.Fatalf("step %d: %s is not removed", step, key)
					}
				}
			}
			if patched < 100 {
				t.Errorf("only %d assignments gave hosts a place", patched)
			}
		})
	}
}

// mutate gives another assignment, which shares what it does not change.
func mutate(r *rand.Rand, a *cluster.Assignment) *cluster.Assignment {
	out := *a
	out.Localities = slices.Clone(a.Localities)
	if len(out.Localities) < 3 {
		l := cluster.Locality{Zone: fmt.Sprint("z", r.IntN(4)), Priority: r.Uint32N(2) * 2, Weight: 1 + r.Uint32N(2)}
		for range r.IntN(40) {
			l.Endpoints = append(l.Endpoints, endpoint(r))
		}
		out.Localities = append(out.Localities, l)
		return &out
	}
	i := r.IntN(len(out.Localities))
	l := &out.Localities[i]
	es := slices.Clone(l.Endpoints)
	at := 0
	if len(es) > 0 {
		at = r.IntN(len(es))
	}
	switch k := r.IntN(20); {
	case k >= 10 && len(es) > 1 && es[0] == es[len(es)-1]: // no longer
		es = es[1:]
	case k == 0:
		out.Localities = slices.Delete(out.Localities, i, i+1)
	case k == 1:
		l.Priority ^= 2
	case k == 2:
		out.Overprovisioning = 100 + r.Uint32N(100)
	case k == 3:
		out.Localities[0], out.Localities[i] = out.Localities[i], out.Localities[0]
	case k == 4:
		for j, e := range es { // as when all of it was decoded
			again := *e
			es[j] = &again
		}
	case k == 5 && len(es) > 1: // one address twice
		es = append(es, es[0])
	case k < 10 && len(es) > 0:
		es = slices.Delete(es, at, at+1)
	case k < 14:
		es = slices.Insert(es, at, endpoint(r))
	case len(es) > 0:
		e := *es[at]
		if k < 17 {
			e.Health = cluster.Health(r.IntN(4))
		} else {
			e.Weight = 1 + r.Uint32N(2)
		}
		es[at] = &e
	}
	if i < len(out.Localities) && &out.Localities[i] == l {
		l.Endpoints = es
	}
	return &out
}

func endpoint(r *rand.Rand) *cluster.Endpoint {
	return &cluster.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(250)), byte(r.IntN(250))}), 80), Weight: 1, Health: cluster.Health(r.IntN(4))}
}

// TestOneEndpointCostsOne: of 20,000 endpoints one changes, and no memory is needed for each of the others but their places.
func TestOneEndpointCostsOne(t *testing.T) {
	const n = 20_000
	all := make([]*cluster.Endpoint, n)
	for i := range all {
		all[i] = &cluster.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80), Weight: 1}
	}
	m := NewManager(Options{})
	s := &config.Snapshot{Clusters: map[string]*config.Resource{"a": {Value: eds("a")}}}
	step := 0
	apply := func() {
		step++
		es := slices.Clone(all)
		es[n/2] = &cluster.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, 0, 0, byte(step)}), 80), Weight: 1}
		s.Endpoints = map[string]*config.Resource{"service-a": {Value: &cluster.Assignment{Overprovisioning: 140, Localities: []cluster.Locality{{Endpoints: es}}}}}
		if err := m.Apply(s); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	if got := testing.AllocsPerRun(10, apply); got > 100 {
		t.Errorf("%v allocations", got)
	}
	c, _ := m.Get("a")
	if want := fmt.Sprintf("11.0.0.%d:80", step); c.order[n/2].key != want || len(c.order) != n {
		t.Errorf("the host is %s of %d, want %s", c.order[n/2].key, len(c.order), want)
	}
}

// TestEjectedHostsOfWhatDidNotChange stay out when another priority changes.
func TestEjectedHostsOfWhatDidNotChange(t *testing.T) {
	r := newRig(t, Options{})
	cfg := eds("a")
	cfg.Outlier = &cluster.Outlier{Consecutive5xx: 1, EnforcingConsecutive5xx: 100, MaxEjectionPercent: 100, BaseEjection: time.Hour, MaxEjection: time.Hour, Interval: time.Hour}
	one := cluster.Locality{Endpoints: []*cluster.Endpoint{{Addr: addrs(2)[0], Weight: 1}, {Addr: addrs(2)[1], Weight: 1}}}
	two := func(last int) cluster.Locality {
		return cluster.Locality{Priority: 1, Endpoints: []*cluster.Endpoint{
			{Addr: addrs(9)[2], Weight: 1}, {Addr: addrs(9)[3], Weight: 1}, {Addr: addrs(9)[4], Weight: 1}, {Addr: addrs(9)[last], Weight: 1},
		}}
	}
	apply := func(last int) *Cluster {
		s := &config.Snapshot{
			Clusters:  map[string]*config.Resource{"a": {Value: cfg}},
			Endpoints: map[string]*config.Resource{"service-a": {Value: &cluster.Assignment{Overprovisioning: 140, Localities: []cluster.Locality{one, two(last)}}}},
		}
		if err := r.m.Apply(s); err != nil {
			t.Fatal(err)
		}
		c, _ := r.m.Get("a")
		return c
	}
	c := apply(5)
	h := c.order[0]
	h.Report(Outcome{Code: 500})
	if !h.Ejected() {
		t.Fatal("the host is not ejected")
	}
	apply(6)
	if got := picks(t, c, 100); got[h.key] != 0 {
		t.Errorf("the ejected host was picked: %v", got)
	}
	c.mu.Lock()
	for _, a := range c.detector.Step(time.Now().Add(3*time.Hour), outlier.Event{Kind: outlier.Tick}) {
		c.act([]outlier.Action{a})
	}
	c.mu.Unlock()
	apply(7)
	if got := picks(t, c, 100); got[h.key] == 0 {
		t.Errorf("the host is back and not picked: %v", got)
	}
}
