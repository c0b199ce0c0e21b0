package lb

import (
	"sort"
	"sync/atomic"
)

// Random is the configuration of envoy.load_balancing_policies.random.
type Random struct{ Locality }

// golden is 2^64 divided by the golden ratio: the step of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// NewRandom makes a policy that draws a member, in proportion to the weights.
func NewRandom(members []Member) Policy {
	if equal(members) {
		return uniform(len(members))
	}
	sums, total := make([]float64, len(members)), 0.0
	for i, m := range members {
		total += m.Weight
		sums[i] = total
	}
	return cumulative(sums)
}

// uniform draws among that many equal members.
type uniform uint64

// Pick implements Policy.
func (u uniform) Pick(p Pick) int { return int(mix(p.Rand+uint64(p.Attempt)*golden) % uint64(u)) }

// cumulative draws by the running sums of the weights.
type cumulative []float64

// Pick implements Policy.
func (c cumulative) Pick(p Pick) int {
	// 53 bits make a float in [0, 1).
	x := float64(mix(p.Rand+uint64(p.Attempt)*golden)>>11) / (1 << 53) * c[len(c)-1]
	return min(sort.Search(len(c), func(i int) bool { return c[i] > x }), len(c)-1)
}

// load reads the requests in flight of a member.
type load struct{ n *atomic.Int64 }

func (l load) value() int64 {
	if l.n == nil {
		return 0
	}
	return l.n.Load()
}
