package match

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func fraction(t *testing.T, num uint32, den typev3.FractionalPercent_DenominatorType, use string) Fraction {
	f, err := NewFraction(&typev3.FractionalPercent{Numerator: num, Denominator: den}, use)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDrawsAreIndependent counts how often two uses hit together: as often as
// the product of their shares says, though both come from one number.
func TestDrawsAreIndependent(t *testing.T) {
	a := fraction(t, 50, typev3.FractionalPercent_HUNDRED, "a")
	b := fraction(t, 2000, typev3.FractionalPercent_TEN_THOUSAND, "b")
	const n = 200_000
	var hitA, hitB, both int
	for i := range uint64(n) { // consecutive numbers: the worst there is
		x, y := a.Hit(i), b.Hit(i)
		if x != a.Hit(i) {
			t.Fatal("a draw does not repeat")
		}
		if x {
			hitA++
		}
		if y {
			hitB++
		}
		if x && y {
			both++
		}
	}
	for _, c := range []struct {
		what string
		got  int
		p    float64
	}{{"a", hitA, 0.5}, {"b", hitB, 0.2}, {"both", both, 0.1}} {
		// Five standard deviations of a binomial: the numbers are fixed, so this
		// passes for ever or never.
		if dev := math.Abs(float64(c.got) - n*c.p); dev > 5*math.Sqrt(n*c.p*(1-c.p)) {
			t.Errorf("%s: %d of %d, want about %.0f", c.what, c.got, n, n*c.p)
		}
	}
}

func TestFractionBounds(t *testing.T) {
	none := fraction(t, 0, typev3.FractionalPercent_MILLION, "x")
	all := fraction(t, 100, typev3.FractionalPercent_HUNDRED, "x")
	more := fraction(t, 200, typev3.FractionalPercent_HUNDRED, "x")
	for i := range uint64(1000) {
		if none.Hit(i) || !all.Hit(i) || !more.Hit(i) || (Fraction{}).Hit(i) {
			t.Fatal("the bounds are not sharp")
		}
	}
	if none.Always() || !all.Always() || (Fraction{}).Always() {
		t.Error("Always")
	}
	if _, err := NewRuntimeFraction(&corev3.RuntimeFractionalPercent{}, "", nil); err == nil || err.Error() != "default_value: unset" {
		t.Errorf("no default_value: %v", err)
	}
}

// TestCIDRsFindTheLongest compares with asking every range.
func TestCIDRsFindTheLongest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr {
		if rnd.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(rnd.IntN(4)), byte(rnd.IntN(4)), byte(rnd.IntN(4))})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(rnd.IntN(4)), 15: byte(rnd.IntN(4))})
	}
	for range 50 {
		var s CIDRs[int]
		var all []netip.Prefix
		for i := range rnd.IntN(30) {
			a := addr()
			p := netip.PrefixFrom(a, rnd.IntN(a.BitLen()+1))
			if s.Add(p, i) == nil {
				all = append(all, p.Masked())
			}
		}
		for range 200 {
			a := addr()
			best := netip.Prefix{}
			for _, p := range all {
				if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
					best = p
				}
			}
			if _, p, ok := s.Find(a); ok != best.IsValid() || p != best {
				t.Fatalf("%s in %v: %v, want %v", a, all, p, best)
			}
		}
	}
}

func TestCIDRErrors(t *testing.T) {
	l := func(a string, n uint32) *corev3.CidrRange {
		return &corev3.CidrRange{AddressPrefix: a, PrefixLen: wrapperspb.UInt32(n)}
	}
	s, err := NewCIDRs("ranges", []*corev3.CidrRange{l("10.1.2.3", 8), l("10.0.0.0", 8), l("::ffff:10.0.0.0", 104), nil, l("x", 1), l("1.2.3.4", 33), l("::", 129), l("fe80::1%eth0", 64)})
	want := "ranges[3]: empty\n" +
		"ranges[4].address_prefix: not an IP address: \"x\"\n" +
		"ranges[5].prefix_len: 33 is more than the 32 bits of 1.2.3.4\n" +
		"ranges[6].prefix_len: 129 is more than the 128 bits of ::\n" +
		"ranges[7].address_prefix: not an IP address: \"fe80::1%eth0\""
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if s.Len() != 1 {
		t.Errorf("%d ranges, want the one 10.0.0.0/8 in three spellings", s.Len())
	}
	in := netip.MustParseAddr("::ffff:10.9.9.9")
	if n := testing.AllocsPerRun(100, func() {
		if !s.Contains(in) {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
