package lb

import (
	"sync/atomic"

	"github.com/weirproxy/weir/config/extension"
)

// Policies is the table of load-balancing policies, by Envoy's names.
func Policies() []*extension.Factory {
	return []*extension.Factory{
		factory("envoy.load_balancing_policies.round_robin", parseRoundRobin, Default()),
		factory("envoy.load_balancing_policies.least_request", parseLeastRequest, Builder{New: newLeastRequest, Even: evenLeastRequest}),
		factory("envoy.load_balancing_policies.random", parseRandom, Builder{New: newRandom, Even: evenRandom}),
		factory("envoy.load_balancing_policies.ring_hash", parseRingHash, Builder{Hashes: true, New: newRingHash}),
		factory("envoy.load_balancing_policies.maglev", parseMaglev, Builder{Hashes: true, New: newMaglev}),
		factory("envoy.load_balancing_policies.cluster_provided", parseClusterProvided, Builder{Provided: true, New: newRoundRobin}),
	}
}

// Default builds what a cluster without a policy uses: round robin.
func Default() Builder { return Builder{New: newRoundRobin, Even: evenRoundRobin} }

func newRoundRobin(_ any, m []Member, seed uint64) Policy { return NewRoundRobin(m, seed) }

func evenRoundRobin(_ any, n int, _ func(int) *atomic.Int64, seed uint64) Policy {
	return newRotation(n, seed)
}

func evenRandom(_ any, n int, _ func(int) *atomic.Int64, _ uint64) Policy { return uniform(n) }

func evenLeastRequest(cfg any, n int, active func(int) *atomic.Int64, _ uint64) Policy {
	c, _ := cfg.(LeastRequest)
	all := make([]load, n)
	for i := range all {
		all[i] = load{active(i)}
	}
	return idlest(c, all)
}

func newRandom(_ any, m []Member, _ uint64) Policy { return NewRandom(m) }

func newLeastRequest(cfg any, m []Member, seed uint64) Policy {
	c, _ := cfg.(LeastRequest)
	return NewLeastRequest(c, m, seed)
}

func newRingHash(cfg any, m []Member, _ uint64) Policy {
	c, ok := cfg.(RingHash)
	if !ok {
		c = RingHash{Min: defaultMinRing, Max: defaultMaxRing}
	}
	return NewRingHash(c, m)
}

func newMaglev(cfg any, m []Member, _ uint64) Policy {
	c, ok := cfg.(Maglev)
	if !ok {
		c = Maglev{TableSize: defaultTable}
	}
	return NewMaglev(c, m)
}
