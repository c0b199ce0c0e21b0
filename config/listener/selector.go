package listener

import (
	"bytes"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/info"
)

// A Selector finds the filter chain for a connection as Envoy does: one criterion after the other, at each the most specific
// value that any remaining chain names; chains with less specific values are out and do not come back when a later criterion
// fails. It is immutable and does not allocate.
type Selector struct {
	chains []*FilterChain
	def    *FilterChain
	by     *matcher // filter_chain_matcher, in place of all that follows; nil when there is none

	// The levels of the search. Each has the chains that name a value, by value, and those that do not ask.
	ports   map[uint16]*prefixes[names]
	anyPort *prefixes[names]
}

type names struct {
	exact    map[string]*transports
	suffixes map[string]*transports // ".example.com"
	any      *transports
}

type transports struct {
	by  map[string]*protocols
	any *protocols
}

type protocols struct {
	by  map[string]*prefixes[sources]
	any *prefixes[sources]
}

type sources struct {
	types [sourceTypes]*prefixes[sourcePorts]
}

type sourcePorts struct {
	by  map[uint16]*FilterChain
	any *FilterChain
}

// Select finds the filter chain for a connection: one of the listener's, else the default filter chain, else nil. With a trace
// it says at each criterion which chains dropped out and why, or what filter_chain_matcher looked at.
func (s *Selector) Select(c *info.Conn, tr *match.Trace) *FilterChain {
	var f *FilterChain
	if s.by != nil {
		f = s.by.find(c, tr)
	} else {
		f = s.find(c)
	}
	if f == nil {
		f = s.def
	}
	if tr != nil {
		s.explain(c, f, tr)
	}
	return f
}

func (s *Selector) find(c *info.Conn) *FilterChain {
	dst, ok := s.ports[c.Dest.Port()]
	if !ok {
		dst = s.anyPort
	}
	n := dst.find(c.Dest.Addr())
	if n == nil {
		return nil
	}
	t := n.find(c.ServerName)
	if t == nil {
		return nil
	}
	p := t.find(transport(c))
	if p == nil {
		return nil
	}
	src := p.find(c.ALPN).find(c.DirectSource.Addr())
	if src == nil {
		return nil
	}
	sp := src.find(c).find(c.Source.Addr())
	if sp == nil {
		return nil
	}
	if f, ok := sp.by[c.Source.Port()]; ok {
		return f
	}
	return sp.any
}

// find takes the exact name, else the longest suffix, else the chains that do not ask.
func (n *names) find(sni []byte) *transports {
	if t, ok := n.exact[string(sni)]; ok {
		return t
	}
	if len(n.suffixes) > 0 && len(sni) > 1 {
		for i := 1; i < len(sni)-1; i++ {
			dot := bytes.IndexByte(sni[i:], '.')
			if dot < 0 {
				break
			}
			i += dot
			if t, ok := n.suffixes[string(sni[i:])]; ok {
				return t
			}
		}
	}
	return n.any
}

func (t *transports) find(protocol string) *protocols {
	if p, ok := t.by[protocol]; ok {
		return p
	}
	return t.any
}

// find takes the client's first protocol that any chain names.
func (p *protocols) find(offered [][]byte) *prefixes[sources] {
	if len(p.by) > 0 {
		for _, o := range offered {
			if s, ok := p.by[string(o)]; ok {
				return s
			}
		}
	}
	return p.any
}

func (s *sources) find(c *info.Conn) *prefixes[sourcePorts] {
	if s.types[SameIPOrLoopback] != nil || s.types[External] != nil {
		if p := s.types[sourceType(c)]; p != nil {
			return p
		}
	}
	return s.types[AnySource]
}

// maxCombinations bounds the product of a listener's match values: each combination is an entry of the selector, so that a few
// long lists could ask for any amount of memory.
const maxCombinations = 1 << 20

// newSelector compiles the matches. Chains that would take the same connections are an error naming both.
func newSelector(chains []*FilterChain, def *FilterChain, l *fielderr.List) *Selector {
	s := &Selector{chains: chains, def: def}
	left := maxCombinations
	for _, f := range chains {
		m := f.match()
		at := fielderr.Index("filter_chains", f.Index) + ".filter_chain_match"
		n := combinations(m, left)
		if n > left {
			l.Addf(at, "too many combinations: a listener's matches may multiply to %d", maxCombinations)
			continue
		}
		left -= n
		if other := s.add(f, m); other != nil {
			l.Addf(at, "%s takes the same connections as %s", f.Label(), other.Label())
		}
	}
	return s
}

// combinations is the product of the lengths of a match's lists, or something above limit.
func combinations(m *Match, limit int) int {
	n := 1
	for _, k := range [...]int{
		len(m.Prefixes), len(m.ServerNames), len(m.ApplicationProtocols),
		len(m.DirectSourcePrefixes), len(m.SourcePrefixes), len(m.SourcePorts),
	} {
		if n *= max(k, 1); n > limit {
			break
		}
	}
	return n
}

// add enters a chain under every combination of its match's values. It returns the first chain that is there already.
func (s *Selector) add(f *FilterChain, m *Match) (other *FilterChain) {
	dst := &s.anyPort
	if m.DestinationPort != 0 {
		dst = entry(&s.ports, m.DestinationPort)
	}
	for _, p := range orUnset(m.Prefixes) {
		n := made(dst).at(p)
		for _, name := range orUnset(m.ServerNames) {
			tr := n.at(name)
			pr := &tr.any
			if m.TransportProtocol != "" {
				pr = entry(&tr.by, m.TransportProtocol)
			}
			for _, alpn := range orUnset(m.ApplicationProtocols) {
				protos := made(pr)
				d := &protos.any
				if alpn != "" {
					d = entry(&protos.by, alpn)
				}
				for _, dp := range orUnset(m.DirectSourcePrefixes) {
					src := made(d).at(dp)
					for _, sp := range orUnset(m.SourcePrefixes) {
						leaf := made(&src.types[m.SourceType]).at(sp)
						if o := leaf.add(f, m.SourcePorts); o != nil && other == nil {
							other = o
						}
					}
				}
			}
		}
	}
	return other
}

func (l *sourcePorts) add(f *FilterChain, ports []uint16) (other *FilterChain) {
	for _, p := range ports {
		if o := l.by[p]; o != nil {
			return o
		}
		if l.by == nil {
			l.by = map[uint16]*FilterChain{}
		}
		l.by[p] = f
	}
	if len(ports) == 0 {
		if l.any != nil {
			return l.any
		}
		l.any = f
	}
	return nil
}

// at gives the node of a name, a suffix or, for "", of no name.
func (n *names) at(name string) *transports {
	switch {
	case name == "":
		return made(&n.any)
	case name[0] == '*':
		return made(entry(&n.suffixes, name[1:]))
	}
	return made(entry(&n.exact, name))
}

// made gives the node at a place, making it when there is none.
func made[T any](at **T) *T {
	if *at == nil {
		*at = new(T)
	}
	return *at
}

// entry gives the place of a key in a map of nodes, making map and node when there are none.
func entry[K comparable, T any](m *map[K]*T, k K) **T {
	if *m == nil {
		*m = map[K]*T{}
	}
	v := (*m)[k]
	if v == nil {
		v = new(T)
		(*m)[k] = v
	}
	return &v
}

// orUnset stands the zero value for an empty list: the chain does not ask.
func orUnset[T any](l []T) []T {
	if len(l) == 0 {
		return make([]T, 1)
	}
	return l
}
