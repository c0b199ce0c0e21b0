package upstream

import (
	"sync/atomic"

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
	top     uint32 // the greatest weight
}

// level is one priority.
type level struct {
	share
	all, ok, deg *group // only those that can be chosen are built

	// for the next set
	hosts  []*Host
	states []state // of hosts; nil when all are healthy
	counts health
	top    uint32
	even   bool // all weigh the same
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

// byPriority sorts hosts into priorities.
func byPriority(hosts []*Host) (by [][]*Host) {
	for _, h := range hosts {
		p := int(h.spec.Load().priority)
		for len(by) <= p {
			by = append(by, nil)
		}
		by[p] = append(by[p], h)
	}
	return by
}

// build makes a set of hosts, which by has by priority. Of old, which may be nil, it takes over the priorities that are not touched; by
// need not have their hosts.
func (b *blueprint) build(hosts []*Host, by [][]*Host, old *set, touched *[maxPriority + 1]bool) *set {
	s := &set{hosts: hosts, dropped: b.dropped, hashes: b.builder.Hashes, levels: make([]level, len(by))}
	healths := make([]health, len(by))
	for p := range s.levels {
		if old != nil && p < len(old.levels) && !touched[p] {
			s.levels[p] = old.levels[p]
		} else {
			s.levels[p].look(by[p])
		}
		l := &s.levels[p]
		healths[p] = l.counts
		s.counts.total += l.counts.total
		s.counts.healthy += l.counts.healthy
		s.counts.degraded += l.counts.degraded
		s.top = max(s.top, l.top)
	}
	for p, sh := range distribute(healths, b.overprovisioning, b.threshold) {
		l := &s.levels[p]
		l.share = sh
		switch {
		case sh.panicking:
			if l.all == nil {
				l.all = b.group(l, l.hosts)
			}
			continue
		case sh.healthy > 0 && l.ok == nil:
			l.ok = b.group(l, l.those(healthy))
		}
		if sh.degraded > 0 && l.deg == nil {
			l.deg = b.group(l, l.those(degraded))
		}
	}
	return s
}

// look takes the hosts of a priority as they are now.
func (l *level) look(hosts []*Host) {
	l.hosts = hosts
	for i, h := range hosts {
		sp := h.spec.Load()
		st := h.stateOf(sp)
		if st != healthy && l.states == nil {
			l.states = make([]state, len(hosts)) // zero is healthy
		}
		if st != healthy {
			l.states[i] = st
		}
		l.counts.add(st)
		l.even = i == 0 || l.even && sp.weight == l.top
		l.top = max(l.top, sp.weight)
	}
}

// those gives the hosts of a state.
func (l *level) those(want state) []*Host {
	if l.states == nil {
		if want == healthy {
			return l.hosts
		}
		return nil
	}
	n := 0
	for _, s := range l.states {
		if s == want {
			n++
		}
	}
	if n == len(l.hosts) {
		return l.hosts
	}
	out := make([]*Host, 0, n)
	for i, s := range l.states {
		if s == want {
			out = append(out, l.hosts[i])
		}
	}
	return out
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

// group builds the choice among some hosts of a priority.
func (b *blueprint) group(l *level, hosts []*Host) *group {
	g := &group{hosts: hosts}
	if len(hosts) == 0 {
		return g
	}
	if !b.weighted {
		g.policy = b.policy(l, hosts)
		return g
	}
	locs := b.localities(hosts, l.hosts)
	if len(locs) == 0 {
		g.hosts = nil // no locality has a weight: none is chosen (Envoy does likewise)
		return g
	}
	if b.builder.Hashes {
		factor := make(map[*Host]float64, len(hosts))
		g.hosts = nil
		for _, p := range locs {
			sum := 0.0
			for _, h := range p.hosts {
				sum += float64(h.spec.Load().weight)
			}
			for _, h := range p.hosts {
				factor[h] = p.weight / sum
				g.hosts = append(g.hosts, h)
			}
		}
		g.policy = b.builder.New(b.cfg, members(g.hosts, factor), b.seed)
		return g
	}
	weights := make([]lb.Member, len(locs))
	for i, p := range locs {
		weights[i] = lb.Member{Weight: p.weight}
		g.parts = append(g.parts, &group{hosts: p.hosts, policy: b.policy(l, p.hosts)})
	}
	g.policy = lb.NewRoundRobin(weights, b.seed)
	return g
}

// policy is the choice among hosts of a level by themselves.
func (b *blueprint) policy(l *level, hosts []*Host) lb.Policy {
	if l.even && b.builder.Even != nil {
		return b.builder.Even(b.cfg, len(hosts), func(i int) *atomic.Int64 { return &hosts[i].requests }, b.seed)
	}
	return b.builder.New(b.cfg, members(hosts, nil), b.seed)
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
		total[keyOf(h.spec.Load().place)]++
	}
	var out []part
	for _, h := range hosts {
		l := h.spec.Load().place
		if l == nil || l.weight == 0 {
			continue
		}
		k := keyOf(l)
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			out = append(out, part{weight: float64(l.weight)})
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

func keyOf(p *place) localityKey {
	if p == nil {
		return localityKey{}
	}
	return p.localityKey
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
