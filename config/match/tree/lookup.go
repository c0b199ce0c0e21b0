package tree

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/weirproxy/weir/config/match"
)

// exactly is exact_match_map.
type exactly[A any] struct {
	from input
	by   map[string]*onMatch[A]
}

func (l *exactly[A]) find(q asking[A]) (*onMatch[A], result) {
	v, have := l.from.value(q.in)
	if have != present {
		return absentKey[A](l.from, have, q)
	}
	o := l.by[string(v)]
	if q.tr != nil {
		found(q.tr, o != nil, l.from, v, "exact_match_map", string(v))
	}
	return o.take(q)
}

// beginning is prefix_match_map: the longest prefix first.
type beginning[A any] struct {
	from    input
	by      map[string]*onMatch[A]
	lengths []int // of the keys, longest first
}

func (l *beginning[A]) find(q asking[A]) (*onMatch[A], result) {
	for _, n := range l.lengths {
		// Read again for each, for what was asked below may have used the same memory.
		v, have := l.from.value(q.in)
		if have != present {
			return absentKey[A](l.from, have, q)
		}
		if len(v) < n {
			continue
		}
		o := l.by[string(v[:n])]
		if o == nil {
			continue
		}
		if q.tr != nil {
			found(q.tr, true, l.from, v, "prefix_match_map", string(v[:n]))
		}
		if o, r := o.take(q); r != no {
			return o, r
		}
	}
	if q.tr != nil {
		q.tr.Note(false, l.from.String(), "is %s: no entry of prefix_match_map is left", l.from.show(q.in))
	}
	return nil, no
}

// domains is xds.type.matcher.v3.ServerNameMatcher: the exact name, the wildcards by length, "*".
type domains[A any] struct {
	from   input
	exact  map[string]*onMatch[A]
	suffix map[string]*onMatch[A] // "example.com" for *.example.com
	any    *onMatch[A]
}

func (l *domains[A]) find(q asking[A]) (*onMatch[A], result) {
	v, have := l.from.value(q.in)
	if have != present || len(v) == 0 {
		return absentKey[A](l.from, have, q)
	}
	o := l.exact[string(v)]
	if q.tr != nil && o != nil {
		found(q.tr, true, l.from, v, "domain_matchers", string(v))
	}
	if o, r := o.take(q); r != no {
		return o, r
	}
	for dot := 0; len(l.suffix) > 0; dot++ {
		v, _ := l.from.value(q.in) // again: see beginning
		if dot > len(v) {
			break
		}
		next := bytes.IndexByte(v[dot:], '.')
		if next < 0 {
			break
		}
		dot += next
		o := l.suffix[string(v[dot+1:])]
		if o == nil {
			continue
		}
		if q.tr != nil {
			found(q.tr, true, l.from, v, "domain_matchers", "*"+string(v[dot:]))
		}
		if o, r := o.take(q); r != no {
			return o, r
		}
	}
	if q.tr != nil {
		left := "no domain is left"
		if l.any != nil {
			left += " but *"
		}
		q.tr.Note(l.any != nil, l.from.String(), "is %s: %s", l.from.show(q.in), left)
	}
	return l.any.take(q)
}

// ranges is xds.type.matcher.v3.IPMatcher: the longest range first, and ranges of one length in the order of declaration.
type ranges[A any] struct {
	from   input
	by     map[netip.Prefix][]ranged[A]
	v4, v6 []int // the prefix lengths in use, longest first
}

type ranged[A any] struct {
	exclusive bool // only when no more specific range has the address
	then      *onMatch[A]
}

// add enters one range; p is masked and IPv4 in its own form.
func (l *ranges[A]) add(p netip.Prefix, r ranged[A]) {
	lens := &l.v6
	if p.Addr().Is4() {
		lens = &l.v4
	}
	if !slices.Contains(*lens, p.Bits()) {
		*lens = append(*lens, p.Bits())
		slices.SortFunc(*lens, func(a, b int) int { return b - a })
	}
	l.by[p] = append(l.by[p], r)
}

func (l *ranges[A]) find(q asking[A]) (*onMatch[A], result) {
	a, have := l.from.addr(q.in)
	if have != present {
		return absentKey[A](l.from, have, q)
	}
	lens := l.v6
	if a.Is4() {
		lens = l.v4
	}
	first := true
	for _, n := range lens {
		p, err := a.Prefix(n)
		if err != nil {
			continue
		}
		for _, r := range l.by[p] {
			if r.exclusive && !first {
				continue
			}
			first = false
			if q.tr != nil {
				q.tr.Note(true, l.from.String(), "%s is in %s", a, p)
			}
			if o, r := r.then.take(q); r != no {
				return o, r
			}
		}
	}
	if q.tr != nil {
		q.tr.Note(false, l.from.String(), "%s is in no range that is left", a)
	}
	return nil, no
}

// absentKey is a lookup by what has no value: no entry, or unknown.
func absentKey[A any](from input, have presence, q asking[A]) (*onMatch[A], result) {
	if q.tr != nil {
		q.tr.Note(false, from.String(), "is %s", from.show(q.in))
	}
	if have == missing {
		return nil, unknown
	}
	return nil, no
}

func found(tr *match.Trace, ok bool, from input, v []byte, field, key string) {
	if ok {
		tr.Note(true, from.String(), "is %q: %s[%q]", v, field, key)
	} else {
		tr.Note(false, from.String(), "is %q: not in %s", v, field)
	}
}
