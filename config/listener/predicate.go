package listener

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/info"
)

// A Predicate is a compiled ListenerFilterChainMatchPredicate. It is immutable.
type Predicate struct {
	op     operator
	of     []*Predicate // of and, or, not
	lo, hi int32        // of destinationPort: lo included, hi excluded
}

type operator uint8

const (
	always operator = iota
	and
	or
	not
	destinationPort
)

// Matches says whether the predicate holds for a connection. A nil Predicate holds for none.
func (p *Predicate) Matches(c *info.Conn) bool {
	if p == nil {
		return false
	}
	switch p.op {
	case always:
		return true
	case and:
		for _, q := range p.of {
			if !q.Matches(c) {
				return false
			}
		}
		return true
	case or:
		for _, q := range p.of {
			if q.Matches(c) {
				return true
			}
		}
		return false
	case not:
		return !p.of[0].Matches(c)
	}
	port := int32(c.Dest.Port())
	return c.Dest.IsValid() && p.lo <= port && port < p.hi
}

// maxPredicate bounds how deep predicates may stand in predicates.
const maxPredicate = 32

func decodePredicate(l *fielderr.List, at string, depth int, p *listenerv3.ListenerFilterChainMatchPredicate) *Predicate {
	if depth > maxPredicate {
		l.Addf(at, "nested deeper than %d", maxPredicate)
		return nil
	}
	switch r := p.GetRule().(type) {
	case *listenerv3.ListenerFilterChainMatchPredicate_OrMatch:
		return &Predicate{op: or, of: decodeRules(l, at+".or_match", depth, r.OrMatch)}
	case *listenerv3.ListenerFilterChainMatchPredicate_AndMatch:
		return &Predicate{op: and, of: decodeRules(l, at+".and_match", depth, r.AndMatch)}
	case *listenerv3.ListenerFilterChainMatchPredicate_NotMatch:
		return &Predicate{op: not, of: []*Predicate{decodePredicate(l, at+".not_match", depth+1, r.NotMatch)}}
	case *listenerv3.ListenerFilterChainMatchPredicate_AnyMatch:
		return &Predicate{op: always}
	case *listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange:
		lo, hi := r.DestinationPortRange.GetStart(), r.DestinationPortRange.GetEnd()
		if lo < 0 || hi > 65536 || lo >= hi {
			l.Addf(at+".destination_port_range", "[%d, %d) holds no port", lo, hi)
		}
		return &Predicate{op: destinationPort, lo: lo, hi: hi}
	}
	l.Addf(at+".rule", "unset")
	return nil
}

func decodeRules(l *fielderr.List, at string, depth int, s *listenerv3.ListenerFilterChainMatchPredicate_MatchSet) []*Predicate {
	var out []*Predicate
	for i, r := range s.GetRules() {
		out = append(out, decodePredicate(l, fielderr.Index(at+".rules", i), depth+1, r))
	}
	return out
}
