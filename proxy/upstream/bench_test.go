package upstream

import (
	"context"
	"testing"
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
