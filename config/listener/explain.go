package listener

import (
	"strings"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/info"
)

// narrow keeps the chains that take the connection most specifically by one criterion.
func narrow(chains []*FilterChain, cr *criterion, c *info.Conn) []*FilterChain {
	best := -1
	for _, f := range chains {
		best = max(best, cr.rank(f.match(), c))
	}
	if best < 0 {
		return nil
	}
	var kept []*FilterChain
	for _, f := range chains {
		if cr.rank(f.match(), c) == best {
			kept = append(kept, f)
		}
	}
	return kept
}

// Nearest explains why no filter chain takes a connection: the chain that came furthest, the criterion that it failed, what it
// wants there and what the connection has. Of several that failed there it is the one that fits best in what follows, and the
// first of those. All are "" when a chain other than the default one takes the connection, and when there is none at all.
//
// A filter_chain_matcher has no nearest chain: chain is "", and got is what it looked at last.
func (s *Selector) Nearest(c *info.Conn) (chain, criterion, wanted, got string) {
	if s.by != nil {
		criterion, wanted, got = s.by.nearest(c)
		return "", criterion, wanted, got
	}
	left := s.chains
	order := criteria()
	for i := range order {
		kept := narrow(left, &order[i], c)
		if len(kept) == 0 && len(left) > 0 {
			f := left[0]
			for best, n := -1, 0; n < len(left); n++ {
				if fit := fits(left[n].match(), order[i+1:], c); fit > best {
					f, best = left[n], fit
				}
			}
			return f.Label(), order[i].name, order[i].want(f.match()), order[i].got(c)
		}
		left = kept
	}
	return "", "", "", ""
}

// fits counts the criteria by which a match takes the connection.
func fits(m *Match, criteria []criterion, c *info.Conn) (n int) {
	for i := range criteria {
		if criteria[i].rank(m, c) >= 0 {
			n++
		}
	}
	return n
}

// explain repeats the search by sets of chains and notes at each criterion who dropped out.
func (s *Selector) explain(c *info.Conn, chosen *FilterChain, tr *match.Trace) {
	left := s.chains
	order := criteria()
	for i := range order {
		cr := &order[i]
		kept := narrow(left, cr, c)
		for _, f := range left {
			if contains(kept, f) {
				continue
			}
			switch rank := cr.rank(f.match(), c); {
			case rank < 0:
				tr.Note(false, f.subject(), "%s wants %s, the connection has %s", cr.name, cr.want(f.match()), cr.got(c))
			case rank == 0:
				tr.Note(false, f.subject(), "%s: other chains ask for %s, this one does not ask", cr.name, cr.got(c))
			default:
				tr.Note(false, f.subject(), "%s: %s takes %s less specifically than other chains", cr.name, cr.want(f.match()), cr.got(c))
			}
		}
		if len(kept) > 0 && cr.rank(kept[0].match(), c) > 0 {
			tr.Note(true, cr.name, "%s: %s", cr.got(c), labels(kept))
		}
		left = kept
	}
	switch {
	case chosen == nil:
		tr.Note(false, "filter chains", "none takes the connection")
	case chosen.Index < 0:
		tr.Note(true, chosen.subject(), "no other chain takes the connection")
	default:
		tr.Note(true, chosen.subject(), "selected")
	}
}

func (f *FilterChain) subject() string { return "filter chain " + f.Label() }

func contains(chains []*FilterChain, f *FilterChain) bool {
	for _, g := range chains {
		if f == g {
			return true
		}
	}
	return false
}

func labels(chains []*FilterChain) string {
	var b strings.Builder
	for i, f := range chains {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Label())
	}
	return b.String()
}
