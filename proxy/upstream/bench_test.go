package upstream

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
)

func BenchmarkPick(b *testing.B) {
	r := newRig(b, Options{})
	for _, name := range []string{"round_robin", "least_request", "random", "ring_hash", "maglev"} {
		cfg := static(name, addrs(10)...)
		cfg.LB.Policy = policy(b, name, nil)
		r.apply(cfg)
		c := r.get(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p := &PickInfo{}
			for b.Loop() {
				p.Rand += 0x9e3779b97f4a7c15
				_, _ = c.Pick(p)
			}
		})
	}
}

func BenchmarkPooledOpenAndRelease(b *testing.B) {
	o := newOrigin(b)
	r := newRig(b, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")
	at := mustOpen(b, c, &OpenInfo{})
	roundTrip(b, at)
	at.Release()
	ctx, h, info := context.Background(), at.Host, &OpenInfo{}
	b.ReportAllocs()
	for b.Loop() {
		a, err := c.OpenHTTP(ctx, h, info)
		if err != nil {
			b.Fatal(err)
		}
		a.Report(Outcome{Code: 200})
		a.Release()
	}
}

// BenchmarkApply puts 10,000 clusters in force, and changes one of them.
func BenchmarkApply(b *testing.B) {
	const n = 10000
	all := map[string]*config.Resource{}
	for i := range n {
		name := fmt.Sprintf("outbound|80||service-%d.default.svc.cluster.local", i)
		all[name] = &config.Resource{Value: static(name, addrs(2)...)}
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if err := NewManager(Options{}).Apply(&config.Snapshot{Clusters: all}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one", func(b *testing.B) {
		m := NewManager(Options{})
		if err := m.Apply(&config.Snapshot{Clusters: all}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			next := maps.Clone(all)
			next["x"] = &config.Resource{Value: static("x", addrs(2)...)}
			if err := m.Apply(&config.Snapshot{Clusters: next}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEndpoints changes one endpoint of 100,000 that one cluster has.
func BenchmarkEndpoints(b *testing.B) {
	const n = 100_000
	all := make([]*cluster.Endpoint, n)
	for i := range all {
		all[i] = &cluster.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80), Weight: 1}
	}
	for _, name := range []string{"round_robin", "least_request"} {
		b.Run(name, func(b *testing.B) {
			cfg := eds("a")
			cfg.LB.Policy = policy(b, name, nil)
			s := &config.Snapshot{Clusters: map[string]*config.Resource{"a": {Value: cfg}}}
			m := NewManager(Options{})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				es := slices.Clone(all)
				es[n/2] = &cluster.Endpoint{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 80), Weight: 1}
				a := &cluster.Assignment{Cluster: "a", Overprovisioning: 140, Localities: []cluster.Locality{{Endpoints: es}}}
				s.Endpoints = map[string]*config.Resource{"service-a": {Value: a}}
				if err := m.Apply(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
