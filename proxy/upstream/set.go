package upstream

import (
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// A set is everything Pick reads: which hosts there are, which may be used, and a
// policy over each group of them. It is immutable; every change of membership,
// weight or health makes a new one.
type set struct {
	hosts   []*Host
	levels  []level
	dropped float64 // percent of requests to drop
	hashes  bool    // the policy hashes: a request hash decides on the priority too
	counts  health
}

// level is one priority.
type level struct {
	share
	all, ok, deg *group // only those that can be chosen are built
}

// group is hosts of one priority that are chosen among.
type group struct {
	hosts  []*Host
	policy lb.Policy // over hosts, or over parts; nil when there are no hosts
	parts  []*group  // by locality, when localities are weighted
}

// blueprint is how sets of a cluster are made.
type blueprint struct {
	builder          lb.Builder
	cfg              any
	weighted         bool // localities are chosen by weight
	threshold        float64
	overprovisioning uint32
	dropped          float64
	seed             uint64
}

func (b *blueprint) build(hosts []*Host) *set {
	s := &set{hosts: hosts, dropped: b.dropped, hashes: b.builder.Hashes}
	var by [][]*Host
	for _, h := range hosts {
		p := int(h.spec.Load().priority)
		for len(by) <= p {
			by = append(by, nil)
		}
		by[p] = append(by[p], h)
	}
	healths, states := make([]health, len(by)), make(map[*Host]state, len(hosts))
	for p, hs := range by {
		for _, h := range hs {
			st := h.state()
			states[h] = st
			healths[p].add(st)
			s.counts.add(st)
		}
	}
	s.levels = make([]level, len(by))
	for p, sh := range distribute(healths, b.overprovisioning, b.threshold) {
		l := &s.levels[p]
		l.share = sh
		pick := func(want func(state) bool) *group {
			var hs []*Host
			for _, h := range by[p] {
				if want(states[h]) {
					hs = append(hs, h)
				}
			}
			return b.group(hs, by[p])
		}
		if sh.panicking {
			l.all = b.group(by[p], by[p])
			continue
		}
		if sh.healthy > 0 {
			l.ok = pick(func(s state) bool { return s == healthy })
		}
		if sh.degraded > 0 {
			l.deg = pick(func(s state) bool { return s == degraded })
		}
	}
	return s
}

func (h *health) add(s state) {
	h.total++
	switch s {
	case healthy:
		h.healthy++
	case degraded:
		h.degraded++
	}
}

// group builds the choice among some hosts of a priority; all are all of them.
func (b *blueprint) group(hosts, all []*Host) *group {
	g := &group{hosts: hosts}
	if len(hosts) == 0 {
		return g
	}
	if !b.weighted {
		g.policy = b.builder.New(b.cfg, members(hosts, nil), b.seed)
		return g
	}
	locs := b.localities(hosts, all)
	if len(locs) == 0 {
		g.hosts = nil // no locality has a weight: none is chosen (Envoy does likewise)
		return g
	}
	if b.builder.Hashes {
		factor := make(map[*Host]float64, len(hosts))
		g.hosts = nil
		for _, l := range locs {
			sum := 0.0
			for _, h := range l.hosts {
				sum += float64(h.spec.Load().weight)
			}
			for _, h := range l.hosts {
				factor[h] = l.weight / sum
				g.hosts = append(g.hosts, h)
			}
		}
		g.policy = b.builder.New(b.cfg, members(g.hosts, factor), b.seed)
		return g
	}
	weights := make([]lb.Member, len(locs))
	for i, l := range locs {
		weights[i] = lb.Member{Weight: l.weight}
		g.parts = append(g.parts, &group{hosts: l.hosts, policy: b.builder.New(b.cfg, members(l.hosts, nil), b.seed)})
	}
	g.policy = lb.NewRoundRobin(weights, b.seed)
	return g
}

// part is the hosts of one locality with the weight the locality has.
type part struct {
	hosts  []*Host
	weight float64
}

// localities gives the localities that have a weight and hosts to use, each with
// its effective weight: less when too few of its hosts can be used (Envoy:
// effectiveLocalityWeight).
func (b *blueprint) localities(hosts, all []*Host) []part {
	index, total := map[localityKey]int{}, map[localityKey]int{}
	for _, h := range all {
		total[keyOf(h.spec.Load().locality)]++
	}
	var out []part
	for _, h := range hosts {
		l := h.spec.Load().locality
		if l == nil || l.Weight == 0 {
			continue
		}
		k := keyOf(l)
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			out = append(out, part{weight: float64(l.Weight)})
		}
		out[i].hosts = append(out[i].hosts, h)
	}
	for k, i := range index {
		usable := float64(b.overprovisioning) / 100 * float64(len(out[i].hosts)) / float64(total[k])
		out[i].weight *= min(1, usable)
	}
	return out
}

type localityKey struct{ region, zone, sub string }

func keyOf(l *cluster.Locality) localityKey {
	if l == nil {
		return localityKey{}
	}
	return localityKey{l.Region, l.Zone, l.SubZone}
}

func members(hosts []*Host, factor map[*Host]float64) []lb.Member {
	out := make([]lb.Member, len(hosts))
	for i, h := range hosts {
		sp := h.spec.Load()
		w := float64(max(sp.weight, 1))
		if factor != nil {
			w *= factor[h]
		}
		out[i] = lb.Member{Addr: h.key, Hostname: sp.hostname, Weight: w, Active: &h.requests}
	}
	return out
}
