package intercept

import (
	"net/netip"
	"slices"
	"strings"
)

// addrRange is an inclusive range of addresses of one family.
type addrRange struct{ from, to netip.Addr }

// String is a prefix, where the range is one, or from-to.
func (r addrRange) String() string {
	for bits := r.from.BitLen(); bits >= 0; bits-- {
		p := netip.PrefixFrom(r.from, bits)
		if p.Masked().Addr() != r.from {
			break
		}
		if lastAddr(p) == r.to {
			if bits == r.from.BitLen() {
				return r.from.String()
			}
			return p.String()
		}
	}
	return r.from.String() + "-" + r.to.String()
}

// lastAddr is the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// mergeCIDRs returns the ranges that the prefixes of one family cover, sorted,
// neither overlapping nor touching: the kernel's interval sets want that.
func mergeCIDRs(prefixes []netip.Prefix, v6 bool) []addrRange {
	var in []addrRange
	for _, p := range prefixes {
		if p.IsValid() && p.Addr().Is6() == v6 {
			in = append(in, addrRange{p.Masked().Addr(), lastAddr(p)})
		}
	}
	slices.SortFunc(in, func(a, b addrRange) int { return a.from.Compare(b.from) })
	var out []addrRange
	for _, r := range in {
		if n := len(out); n > 0 {
			last := &out[n-1]
			// Next of the highest address is invalid and compares below all.
			if next := last.to.Next(); !next.IsValid() || r.from.Compare(next) <= 0 {
				if r.to.Compare(last.to) > 0 {
					last.to = r.to
				}
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// mergePorts returns the ranges sorted, neither overlapping nor touching.
func mergePorts(ranges []PortRange) []PortRange {
	in := slices.Clone(ranges)
	slices.SortFunc(in, func(a, b PortRange) int { return int(a.From) - int(b.From) })
	var out []PortRange
	for _, r := range in {
		if n := len(out); n > 0 && int(r.From) <= int(out[n-1].To)+1 {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}

// uniqueNames returns the interface names, each once, in the order given.
func uniqueNames(names []string) []string {
	var out []string
	for _, n := range names {
		if n = strings.TrimSpace(n); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
