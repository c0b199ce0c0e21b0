package xds

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// BenchmarkOneChange is a push of 10,000 clusters of which one is new, and of 10,000 endpoints of which one is new.
func BenchmarkOneChange(b *testing.B) {
	const n = 10_000
	push := func(k kind, rev int) *discoveryv3.DiscoveryResponse {
		r := &discoveryv3.DiscoveryResponse{TypeUrl: rows[k].url, VersionInfo: fmt.Sprint(rev), Nonce: fmt.Sprint(rev)}
		for i := range n {
			kv := map[string]string{"uses": "some-text-as-long-as-a-real-cluster-has-around-its-name-and-endpoints-so-that-bytes-count"}
			if k == cds {
				kv["eds"] = fmt.Sprintf("cluster-%05d", i)
			}
			if i == 0 {
				kv["rev"] = fmt.Sprint(rev)
			}
			r.Resources = append(r.Resources, fakeAny(rows[k].url, fmt.Sprintf("cluster-%05d", i), nil, kv))
		}
		return r
	}
	src := Source{Name: "ads"}
	for _, r := range rows {
		src.Types = append(src.Types, SourceType{TypeURL: r.url})
	}
	for _, k := range []kind{cds, eds} {
		b.Run(rows[k].short, func(b *testing.B) {
			s := NewSession(SessionOptions{Sources: []Source{src}})
			var step func(Happening)
			step = func(h Happening) {
				for _, a := range s.Step(Event{epoch, h}) {
					if d, ok := a.(DecodeItems); ok {
						step(Decoded{d.TypeURL, d.Seq, Decode(fakeDecode).all(d.TypeURL, d.Items)})
					}
				}
			}
			step(Started{})
			step(Connected{})
			step(Received{Response: push(cds, 0)})
			step(Received{Response: push(eds, 0)})
			even, odd := push(k, 1), push(k, 2)
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					step(Received{Response: even})
				} else {
					step(Received{Response: odd})
				}
			}
			if len(s.snapshot.Endpoints) != n {
				b.Fatal("not all endpoints serve")
			}
		})
	}
}
