package listener

import (
	"net/netip"
	"slices"
)

// prefixes finds the longest prefix that holds an address: one map a prefix length, longest first. A listener has few lengths,
// so this is two or three map lookups.
type prefixes[T any] struct {
	v4, v6 []length[T]
	any    T // of the chains that name no prefix
}

type length[T any] struct {
	bits int
	by   map[netip.Addr]*T
}

// find gives the zero value when nothing holds the address. A nil receiver holds nothing.
func (p *prefixes[T]) find(a netip.Addr) (zero T) {
	if p == nil {
		return zero
	}
	if len(p.v4)+len(p.v6) > 0 {
		a = plain(a)
		lengths := p.v6
		if a.Is4() {
			lengths = p.v4
		}
		for i := range lengths {
			q, err := a.Prefix(lengths[i].bits)
			if err != nil {
				break
			}
			if v, ok := lengths[i].by[q.Addr()]; ok {
				return *v
			}
		}
	}
	return p.any
}

// at gives the place of a prefix, made when there is none; the zero Prefix is any address.
func (p *prefixes[T]) at(q netip.Prefix) *T {
	if !q.IsValid() {
		return &p.any
	}
	lengths := &p.v6
	if q.Addr().Is4() {
		lengths = &p.v4
	}
	i, ok := slices.BinarySearchFunc(*lengths, q.Bits(), func(l length[T], bits int) int { return bits - l.bits })
	if !ok {
		*lengths = slices.Insert(*lengths, i, length[T]{q.Bits(), map[netip.Addr]*T{}})
	}
	m := (*lengths)[i].by
	v := m[q.Addr()]
	if v == nil {
		v = new(T)
		m[q.Addr()] = v
	}
	return v
}
