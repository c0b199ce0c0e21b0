package lb

import (
	"sync/atomic"
	"testing"
)

// TestEvenIsNew: what is built over members of equal weight picks as what is built over all that is known of them.
func TestEvenIsNew(t *testing.T) {
	for _, f := range Policies() {
		b := f.Build.(Builder)
		if b.Even == nil {
			continue
		}
		for _, cfg := range []any{nil, LeastRequest{Choices: 3}, LeastRequest{FullScan: true}} {
			const n, seed = 7, 12345
			m, active := make([]Member, n), make([]atomic.Int64, n)
			for i := range m {
				active[i].Store(int64(i * 5 % n))
				m[i] = Member{Weight: 3, Active: &active[i]}
			}
			whole, even := b.New(cfg, m, seed), b.Even(cfg, n, func(i int) *atomic.Int64 { return &active[i] }, seed)
			for i := range uint64(500) {
				p := Pick{Rand: mix(i), Hash: mix(i), Attempt: uint32(i % 3)}
				if got, want := even.Pick(p), whole.Pick(p); got != want {
					t.Fatalf("%s %+v: pick %d is %d, want %d", f.Name, cfg, i, got, want)
				}
			}
		}
	}
}
