package lb

import "github.com/cespare/xxhash/v2"

// Maglev is the configuration of envoy.load_balancing_policies.maglev.
type Maglev struct {
	Locality
	TableSize      uint64 // a prime, default 65537
	ByHostname     bool   // use_hostname_for_hashing
	BalancePercent uint32 // hash_balance_factor, 0 none
}

// maglev is Google's lookup table: every member has its own order in which it
// would like the slots, and they take turns (Envoy: MaglevTable; Eisenbud et al.,
// "Maglev", NSDI 2016, §3.4).
type maglev struct {
	table []uint32
	bound bound
}

// NewMaglev fills the table. A member whose weight is a third of the greatest
// takes a turn every third time.
func NewMaglev(cfg Maglev, members []Member) Policy {
	size := cfg.TableSize
	part, _, most := shares(members)
	type builder struct{ offset, skip, next uint64 }
	b, target := make([]builder, len(members)), make([]float64, len(members))
	for i := range members {
		name := members[i].name(cfg.ByHostname)
		d := xxhash.NewWithSeed(1)
		_, _ = d.WriteString(name)
		b[i] = builder{offset: xxhash.Sum64String(name) % size, skip: d.Sum64()%(size-1) + 1}
	}
	const free = ^uint32(0)
	table := make([]uint32, size)
	for i := range table {
		table[i] = free
	}
	for turn, filled := 1.0, uint64(0); filled < size; turn++ {
		for i := 0; i < len(b) && filled < size; i++ {
			if turn*part[i] < target[i] {
				continue
			}
			target[i] += most
			m := &b[i]
			slot := (m.offset + m.skip*m.next) % size
			for table[slot] != free {
				m.next++
				slot = (m.offset + m.skip*m.next) % size
			}
			table[slot] = uint32(i)
			m.next++
			filled++
		}
	}
	return &maglev{table: table, bound: newBound(cfg.BalancePercent, members)}
}

// Pick implements Policy; a further attempt changes many bits of the hash.
func (m *maglev) Pick(p Pick) int {
	h := p.Hash
	if p.Attempt > 0 {
		h ^= ^uint64(0) - uint64(p.Attempt) + 1
	}
	n := uint64(len(m.table))
	first := int(m.table[h%n])
	if m.bound.limit == 0 || m.bound.has(first) {
		return first
	}
	for k := uint64(1); k < n; k++ {
		if i := int(m.table[(h%n+k)%n]); i != first && m.bound.has(i) {
			return i
		}
	}
	return first
}
