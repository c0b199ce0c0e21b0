package lb

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// RingHash is the configuration of envoy.load_balancing_policies.ring_hash.
type RingHash struct {
	Locality
	Murmur2        bool   // hash_function MURMUR_HASH_2; else XX_HASH
	Min, Max       uint64 // ring size, default 1024 and 8 Mi
	ByHostname     bool   // use_hostname_for_hashing
	BalancePercent uint32 // hash_balance_factor, 0 none
}

// ring is points on a circle, each a member's; a request belongs to the first
// point at or after its hash (Envoy: RingHashLoadBalancer, a ketama ring).
type ring struct {
	points []point // by hash
	bound  bound
}

type point struct {
	hash  uint64
	index uint32
}

// NewRingHash makes the ring. The number of points is such that the member of
// least weight has a whole number of them and there are at least Min and at most
// Max (Envoy: RingHashLoadBalancer::Ring).
func NewRingHash(cfg RingHash, members []Member) Policy {
	part, least, _ := shares(members)
	scale := min(math.Ceil(least*float64(cfg.Min))/least, float64(cfg.Max))
	r := &ring{points: make([]point, 0, int(math.Ceil(scale))), bound: newBound(cfg.BalancePercent, members)}
	key := make([]byte, 0, 64)
	// Running sums instead of rounding each member's share: rounding errors do not
	// add up, and the ring has the size it should.
	have, want := 0.0, 0.0
	for i := range members {
		key = append(append(key[:0], members[i].name(cfg.ByHostname)...), '_')
		prefix := len(key)
		want += scale * part[i]
		for k := uint64(0); have < want; k++ {
			key = strconv.AppendUint(key[:prefix], k, 10)
			h := uint64(0)
			if cfg.Murmur2 {
				h = murmur2(key, murmurSeed)
			} else {
				h = xxhash.Sum64(key)
			}
			r.points = append(r.points, point{h, uint32(i)})
			have++
		}
	}
	slices.SortStableFunc(r.points, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	return r
}

// Pick implements Policy; a further attempt takes the next point.
func (r *ring) Pick(p Pick) int {
	n := len(r.points)
	i := sort.Search(n, func(i int) bool { return r.points[i].hash >= p.Hash })
	i = (i + int(p.Attempt)) % n
	if r.bound.limit == 0 {
		return int(r.points[i].index)
	}
	for k := range n {
		if m := int(r.points[(i+k)%n].index); r.bound.has(m) {
			return m
		}
	}
	return int(r.points[i].index)
}
