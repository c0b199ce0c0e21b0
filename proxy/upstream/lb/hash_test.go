package lb

import (
	"math/rand/v2"
	"testing"
)

// The values are what std::hash<std::string> of libstdc++ gives, whose function and
// seed Envoy's MURMUR_HASH_2 has.
func TestMurmur2(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want uint64
	}{
		{"foo", 9631199822919835226},
		{"bar", 11474628671133349555},
		{"foo\nbar", 16306510975912980159},
		{"lyft", 12847078931730529320},
		{"10.0.0.1:80_0", 13659246566588789388},
		{"0123456789abcdef", 10613591747391057286},
		{"", 6142509188972423790},
	} {
		if got := murmur2([]byte(tc.in), murmurSeed); got != tc.want {
			t.Errorf("murmur2(%q) = %d, want %d", tc.in, got, tc.want)
		}
	}
}

func moved(a, b Policy, keep func(int) int, keys int) (moved, ofRemoved int) {
	r := rand.New(rand.NewPCG(3, 3))
	for range keys {
		h := r.Uint64()
		was, is := a.Pick(Pick{Hash: h}), b.Pick(Pick{Hash: h})
		if k := keep(was); k < 0 {
			ofRemoved++
		} else if k != is {
			moved++
		}
	}
	return moved, ofRemoved
}

func TestFewKeysMoveWhenAHostLeaves(t *testing.T) {
	const hosts, keys = 20, 20000
	all := same(hosts)
	less := append(append([]Member{}, all[:7]...), all[8:]...)
	keep := func(i int) int {
		switch {
		case i == 7:
			return -1
		case i > 7:
			return i - 1
		}
		return i
	}
	for _, tc := range []struct {
		name  string
		build func([]Member) Policy
		most  float64 // share of the keys of hosts that stay
	}{
		{"ring xxhash", func(m []Member) Policy { return NewRingHash(RingHash{Min: 20000, Max: 1 << 20}, m) }, 0},
		{"ring murmur", func(m []Member) Policy { return NewRingHash(RingHash{Min: 20000, Max: 1 << 20, Murmur2: true}, m) }, 0},
		{"maglev", func(m []Member) Policy { return NewMaglev(Maglev{TableSize: 65537}, m) }, 0.02},
	} {
		n, gone := moved(tc.build(all), tc.build(less), keep, keys)
		if share := float64(n) / keys; share > tc.most+0.055 {
			// A ring of a fixed least size has other points per host when there are
			// fewer hosts; the share that moves stays near 1/hosts.
			t.Errorf("%s: %.3f of the keys moved between hosts that stayed", tc.name, share)
		}
		if gone < keys/hosts/2 || gone > keys/hosts*2 {
			t.Errorf("%s: the host that left had %d of %d keys, want about %d", tc.name, gone, keys, keys/hosts)
		}
	}
}

func TestConsistentHashingFollowsWeights(t *testing.T) {
	const keys = 100000
	m := some(3, 2, 1)
	for name, p := range map[string]Policy{
		"ring":   NewRingHash(RingHash{Min: 65536, Max: 1 << 20}, m),
		"maglev": NewMaglev(Maglev{TableSize: 65537}, m),
	} {
		for i, n := range count(p, 3, keys, 5) {
			want := keys * m[i].Weight / 6
			if float64(n) < want*0.95 || float64(n) > want*1.05 {
				t.Errorf("%s: member %d got %d, want about %.0f", name, i, n, want)
			}
		}
	}
}

func TestMaglevTableIsExact(t *testing.T) {
	p := NewMaglev(Maglev{TableSize: 65537}, same(5)).(*maglev)
	n := make([]int, 5)
	for _, i := range p.table {
		n[i]++
	}
	for i := range n {
		if n[i] < 65537/5 || n[i] > 65537/5+1 {
			t.Errorf("member %d has %d slots of 65537", i, n[i])
		}
	}
}

func TestRingSize(t *testing.T) {
	for _, tc := range []struct {
		weights  []float64
		min, max uint64
		want     int
	}{
		{[]float64{1, 1}, 100, 1000, 100},
		{[]float64{1, 1, 1}, 100, 1000, 102}, // a whole number for each
		{[]float64{1, 3}, 2, 1000, 4},
		{[]float64{1, 999}, 100, 500, 500},
	} {
		p := NewRingHash(RingHash{Min: tc.min, Max: tc.max}, some(tc.weights...)).(*ring)
		if len(p.points) != tc.want {
			t.Errorf("weights %v, %d–%d: ring of %d, want %d", tc.weights, tc.min, tc.max, len(p.points), tc.want)
		}
	}
}

func TestHashingIsByAddressOrHostname(t *testing.T) {
	a, b := same(10), same(10)
	for i := range a {
		a[i].Hostname = string(rune('a' + i))
		b[i].Hostname, b[i].Addr = a[i].Hostname, "192.0.2.1:1"
	}
	pa, pb := NewMaglev(Maglev{TableSize: 251, ByHostname: true}, a), NewMaglev(Maglev{TableSize: 251, ByHostname: true}, b)
	for h := range uint64(251) {
		if pa.Pick(Pick{Hash: h}) != pb.Pick(Pick{Hash: h}) {
			t.Fatal("the addresses mattered, though hashing is by hostname")
		}
	}
}

func TestBoundedLoad(t *testing.T) {
	m := same(4)
	for name, p := range map[string]Policy{
		"ring":   NewRingHash(RingHash{Min: 1024, Max: 1 << 20, BalancePercent: 150}, m),
		"maglev": NewMaglev(Maglev{TableSize: 251, BalancePercent: 150}, m),
	} {
		for i := range m {
			m[i].Active.Store(0)
		}
		for range 100 { // one hot key
			m[p.Pick(Pick{Hash: 77})].Active.Add(1)
		}
		for i := range m {
			if n := m[i].Active.Load(); n > 39 { // 1.5 × 100/4, rounded up
				t.Errorf("%s: member %d has %d of 100 requests", name, i, n)
			}
		}
	}
}
