package lb

import "sync/atomic"

// RoundRobin is the configuration of envoy.load_balancing_policies.round_robin.
type RoundRobin struct{ Locality }

// NewRoundRobin makes a policy that takes members in turn, each as often as its
// weight says.
func NewRoundRobin(members []Member, seed uint64) Policy {
	if !equal(members) {
		return weighted{newEDF(len(members), func(i int) float64 { return members[i].Weight }, seed)}
	}
	return newRotation(len(members), seed)
}

func newRotation(n int, seed uint64) *rotation {
	r := &rotation{n: uint64(n)}
	r.next.Store(seed % r.n)
	return r
}

// rotation is round robin over equal members.
type rotation struct {
	n    uint64
	next atomic.Uint64
}

// Pick implements Policy.
func (r *rotation) Pick(Pick) int { return int((r.next.Add(1) - 1) % r.n) }

// weighted is round robin over members of different weights.
type weighted struct{ *edf }

// Pick implements Policy.
func (w weighted) Pick(Pick) int { return w.next() }
