package match

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

// NewPrefix compiles a CidrRange. Bits beyond the prefix length are dropped, as
// Envoy does.
func NewPrefix(c *corev3.CidrRange) (netip.Prefix, error) {
	if c == nil {
		return netip.Prefix{}, errors.New("empty")
	}
	a, err := netip.ParseAddr(c.AddressPrefix)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fail("address_prefix", "not an IP address: %q", c.AddressPrefix)
	}
	bits := c.PrefixLen.GetValue() // Envoy: 0 when unset
	if bits > uint32(a.BitLen()) {
		return netip.Prefix{}, fail("prefix_len", "%d is more than the %d bits of %s", bits, a.BitLen(), a)
	}
	p, err := a.Prefix(int(bits))
	if err != nil {
		return netip.Prefix{}, fail("prefix_len", "%w", err)
	}
	return p, nil
}

// CIDRs maps address ranges to values and finds the longest range that an
// address is in. It is built with Add and immutable afterwards. Looking up costs
// one map access for each different prefix length, 33 or 129 at most.
type CIDRs[V any] struct {
	m      map[netip.Prefix]V
	v4, v6 []int // the prefix lengths in use, longest first
}

// Add maps a range to a value; a range that is there already is an error. A
// range of IPv4-mapped IPv6 addresses is the IPv4 range.
func (s *CIDRs[V]) Add(p netip.Prefix, v V) error {
	p, ok := unmap(p)
	if !ok {
		return errors.New("invalid address range")
	}
	if _, dup := s.m[p]; dup {
		return fmt.Errorf("%s is there twice", p)
	}
	if s.m == nil {
		s.m = map[netip.Prefix]V{}
	}
	s.m[p] = v
	lens := &s.v6
	if p.Addr().Is4() {
		lens = &s.v4
	}
	if !slices.Contains(*lens, p.Bits()) {
		*lens = append(*lens, p.Bits())
		slices.SortFunc(*lens, func(a, b int) int { return b - a })
	}
	return nil
}

// Len is the number of ranges.
func (s *CIDRs[V]) Len() int { return len(s.m) }

// Find gives the value of the longest range with the address in it.
func (s *CIDRs[V]) Find(a netip.Addr) (v V, p netip.Prefix, ok bool) {
	a = a.Unmap().WithZone("")
	lens := s.v6
	if a.Is4() {
		lens = s.v4
	}
	for _, n := range lens {
		q, err := a.Prefix(n)
		if err != nil {
			continue
		}
		if v, ok := s.m[q]; ok {
			return v, q, true
		}
	}
	return v, p, false
}

// Contains tells whether the address is in any range.
func (s *CIDRs[V]) Contains(a netip.Addr) bool {
	_, _, ok := s.Find(a)
	return ok
}

// NewCIDRs compiles a list of ranges whose values are their indexes; repeated
// ranges keep the first. field is the name of the list, for paths.
func NewCIDRs(field string, l []*corev3.CidrRange) (*CIDRs[int], error) {
	var errs fielderr.List
	s := &CIDRs[int]{}
	for i, c := range l {
		p, err := NewPrefix(c)
		errs.Add(fielderr.Index(field, i), err)
		if q, ok := unmap(p); ok {
			if _, dup := s.m[q]; !dup {
				errs.Add(fielderr.Index(field, i), s.Add(p, i))
			}
		}
	}
	return s, errs.Err()
}

func unmap(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() {
		return p, false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}
