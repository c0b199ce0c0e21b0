// Package lb has the load-balancing policies: each is built over one fixed list
// of members, picks an index of that list without blocking or allocating, and is
// built anew when the list changes.
//
// What hosts a policy is built over — a priority, a locality, the healthy ones —
// is decided by package upstream. Draws are numbers handed in, so that a policy
// is a pure function of them and of its own position.
package lb

import "sync/atomic"

// A Member is one host as a policy sees it.
type Member struct {
	Addr     string        // "10.0.0.1:80", what consistent hashing hashes
	Hostname string        // hashed instead with use_hostname_for_hashing
	Weight   float64       // > 0; only ratios matter
	Active   *atomic.Int64 // requests in flight, for least_request; nil counts as none
}

// A Pick is what one choice is made from.
type Pick struct {
	Rand    uint64 // uniformly random
	Hash    uint64 // of the request, by the route's hash policy; random when there is none
	Attempt uint32 // how many choices for this request were turned down before this one
}

// A Policy chooses among the members it was built over, which are at least one.
// It may be called from any goroutine.
type Policy interface {
	// Pick gives an index into the members.
	Pick(p Pick) int
}

// A Builder is what a factory's Build is: how a policy comes to be.
type Builder struct {
	// Hashes says that one request hash must always find the same member: such a
	// policy is built over all localities of a priority at once, their weights
	// multiplied into the members' (Envoy: ThreadAwareLoadBalancerBase).
	Hashes bool
	// Provided says that the cluster itself knows the host (original_dst).
	Provided bool
	// New builds a policy over members; cfg is what the factory parsed, and seed
	// decides where a rotation begins.
	New func(cfg any, members []Member, seed uint64) Policy
	// Even builds what New does over n members of the same weight, of which nothing
	// is read but their requests in flight: hosts may be 100,000, and change often.
	// Nil where New is needed.
	Even func(cfg any, n int, active func(i int) *atomic.Int64, seed uint64) Policy
}

// Locality is the part of a policy's configuration that is about localities; it
// is embedded in the configuration of each policy that has it.
type Locality struct {
	Weighted bool // locality_weighted_lb_config
}

// WeighsLocalities tells whether a locality is chosen by its weight first.
func (l Locality) WeighsLocalities() bool { return l.Weighted }

// mix spreads the bits of x (the finalizer of SplitMix64), so that several
// independent draws can be made of one random number.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// equal tells whether all members have the same weight.
func equal(m []Member) bool {
	for i := range m {
		if m[i].Weight != m[0].Weight {
			return false
		}
	}
	return true
}
