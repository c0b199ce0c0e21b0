package lb

import "encoding/binary"

// murmurSeed is the seed of std::hash in libstdc++, which Envoy's ring hash uses
// with MURMUR_HASH_2.
const murmurSeed = 0xc70f6907

// murmur2 is MurmurHash64A of p, in little-endian order on every machine.
func murmur2(p []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(p))*m
	for len(p) >= 8 {
		k := binary.LittleEndian.Uint64(p) * m
		k ^= k >> r
		h = (h ^ k*m) * m
		p = p[8:]
	}
	if len(p) > 0 {
		for i, b := range p {
			h ^= uint64(b) << (8 * i)
		}
		h *= m
	}
	h ^= h >> r
	h *= m
	return h ^ h>>r
}

// name is what consistent hashing hashes of a member.
func (m *Member) name(byHostname bool) string {
	if byHostname && m.Hostname != "" {
		return m.Hostname
	}
	return m.Addr
}

// shares gives each member's part of the whole weight, and the least and the
// greatest of them.
func shares(members []Member) (part []float64, least, most float64) {
	total := 0.0
	for _, m := range members {
		total += m.Weight
	}
	part, least = make([]float64, len(members)), 1
	for i, m := range members {
		part[i] = m.Weight / total
		least, most = min(least, part[i]), max(most, part[i])
	}
	return part, least, most
}
