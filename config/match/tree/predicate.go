package tree

import (
	"net/netip"

	"github.com/weirproxy/weir/config/match"
)

// A predicate is a compiled Matcher.MatcherList.Predicate.
type predicate interface {
	holds(in *Input, tr *match.Trace) result
}

// single asks one input. What is absent matches nothing.
type single struct {
	from input
	text match.String      // when ips is nil
	ips  *match.CIDRs[int] // of envoy.matching.matchers.ip
}

func (p *single) holds(in *Input, tr *match.Trace) result {
	r, have := no, missing
	if p.ips != nil {
		var a netip.Addr
		if a, have = p.from.addr(in); have == present && p.ips.Contains(a) {
			r = yes
		}
	} else {
		var v []byte
		if v, have = p.from.value(in); have == present && p.text.Match(v) {
			r = yes
		}
	}
	if have == missing {
		r = unknown
	}
	if tr != nil {
		want := p.text.String()
		if p.ips != nil {
			want = "in cidr_ranges"
		}
		tr.Note(r == yes, p.from.String(), "is %s, wanted: %s", p.from.show(in), want)
	}
	return r
}

// all holds when each does; it asks no further than the first that does not, or that cannot be told.
type all []predicate

func (l all) holds(in *Input, tr *match.Trace) result {
	for _, p := range l {
		if r := p.holds(in, tr); r != yes {
			return r
		}
	}
	return yes
}

// either holds when one does; what cannot be told matters only when none does.
type either []predicate

func (l either) holds(in *Input, tr *match.Trace) result {
	out := no
	for _, p := range l {
		switch p.holds(in, tr) {
		case yes:
			return yes
		case unknown:
			out = unknown
		}
	}
	return out
}

// not turns the answer around; what cannot be told stays so.
type not struct{ of predicate }

func (p not) holds(in *Input, tr *match.Trace) result {
	switch p.of.holds(in, tr) {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}
