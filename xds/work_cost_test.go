package xds

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// TestOneChangeLooksAtOne counts the slots that a push of one resource among 10,000 has looked at.
func TestOneChangeLooksAtOne(t *testing.T) {
	const n = 10_000
	src := Source{Name: "ads", Delta: true}
	for _, r := range rows {
		src.Types = append(src.Types, SourceType{TypeURL: r.url})
	}
	s := NewSession(SessionOptions{Sources: []Source{src}})
	var step func(Happening)
	decoded := 0
	step = func(h Happening) {
		for _, a := range s.Step(Event{epoch, h}) {
			if d, ok := a.(DecodeItems); ok {
				decoded += len(d.Items)
				step(Decoded{d.TypeURL, d.Seq, Decode(fakeDecode).all(d.TypeURL, d.Items)})
			}
		}
	}
	push := func(k kind, from, to, rev int) {
		r := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: rows[k].url, Nonce: fmt.Sprint(k, from, rev)}
		for i := from; i < to; i++ {
			kv := map[string]string{"rev": fmt.Sprint(rev)}
			if k == cds {
				kv["eds"] = fmt.Sprintf("c%05d", i)
			}
			name := fmt.Sprintf("c%05d", i)
			r.Resources = append(r.Resources, &discoveryv3.Resource{Name: name, Version: fmt.Sprint(rev), Resource: fakeAny(rows[k].url, name, nil, kv)})
		}
		step(ReceivedDelta{Response: r})
	}
	step(Started{})
	step(Connected{})
	push(cds, 0, n, 1)
	push(eds, 0, n, 1)
	if len(s.snapshot.Clusters) != n || len(s.snapshot.Endpoints) != n {
		t.Fatalf("%d clusters and %d endpoints serve", len(s.snapshot.Clusters), len(s.snapshot.Endpoints))
	}
	looks := func() (sum int) {
		for _, t := range s.types {
			sum += t.looks
		}
		return sum
	}
	for _, c := range []struct {
		name    string
		k       kind
		at, rev int
	}{{"an endpoint", eds, 7, 2}, {"a cluster", cds, 8, 3}, {"a cluster again", cds, 8, 4}} {
		before, version := looks(), s.snapshot.Version
		decoded = 0
		push(c.k, c.at, c.at+1, c.rev)
		if s.snapshot.Version != version+1 {
			t.Errorf("%s: %d snapshots", c.name, s.snapshot.Version-version)
		}
		if n := looks() - before; n > 100 || decoded != 1 {
			t.Errorf("%s changed: %d slots were looked at, %d resources decoded", c.name, n, decoded)
		}
	}
}
