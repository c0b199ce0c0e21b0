package lb

import "github.com/weirproxy/weir/config/extension"

// Policies is the table of load-balancing policies, by Envoy's names.
func Policies() []*extension.Factory {
	return []*extension.Factory{
		factory("envoy.load_balancing_policies.round_robin", parseRoundRobin, Builder{New: newRoundRobin}),
		factory("envoy.load_balancing_policies.least_request", parseLeastRequest, Builder{New: newLeastRequest}),
		factory("envoy.load_balancing_policies.random", parseRandom, Builder{New: newRandom}),
		factory("envoy.load_balancing_policies.ring_hash", parseRingHash, Builder{Hashes: true, New: newRingHash}),
		factory("envoy.load_balancing_policies.maglev", parseMaglev, Builder{Hashes: true, New: newMaglev}),
		factory("envoy.load_balancing_policies.cluster_provided", parseClusterProvided, Builder{Provided: true, New: newRoundRobin}),
	}
}

// Default builds what a cluster without a policy uses: round robin.
func Default() Builder { return Builder{New: newRoundRobin} }

func newRoundRobin(_ any, m []Member, seed uint64) Policy { return NewRoundRobin(m, seed) }

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
