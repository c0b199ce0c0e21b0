package listener

import (
	"net/netip"

	"github.com/weirproxy/weir/config/match"
)

// prefixes are the nodes of one level by address range, and that of the chains that name none.
type prefixes[T any] struct {
	ranges match.CIDRs[*T]
	made   map[netip.Prefix]*T // the nodes again, while the tree grows
	any    *T
}

// find gives the node of the longest range that holds the address; nil when there is none. A nil receiver holds nothing.
func (p *prefixes[T]) find(a netip.Addr) *T {
	if p == nil {
		return nil
	}
	if p.ranges.Len() > 0 {
		if v, _, ok := p.ranges.Find(plain(a)); ok {
			return v
		}
	}
	return p.any
}

// at gives the node of a range, made when there is none; the zero Prefix is any address.
func (p *prefixes[T]) at(q netip.Prefix) *T {
	if !q.IsValid() {
		return made(&p.any)
	}
	v := p.made[q]
	if v == nil {
		v = new(T)
		if p.made == nil {
			p.made = map[netip.Prefix]*T{}
		}
		if p.ranges.Add(q, v) == nil { // an error would say that it is there
			p.made[q] = v
		}
	}
	return v
}
