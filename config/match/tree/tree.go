// Package tree is Envoy's unified matcher (xds.type.matcher.v3.Matcher): trees of predicates and of lookups by an input's value,
// whose leaves are actions that the caller gives a meaning.
//
// A tree is compiled once, is immutable, and asking it allocates nothing. It follows Envoy's own evaluation: a branch that comes
// to no result (its nested matcher matches nothing, or it says keep_matching) is as if it were not there, so the next entry of a
// list, the next shorter prefix, range or domain, and at last on_no_match are asked. An input that is not there yet (a header
// before the request, a certificate without TLS) ends the whole question without a result, even below "not" and before
// on_no_match, so that what is unknown decides nothing.
package tree

import "github.com/weirproxy/weir/config/match"

// A Tree is a compiled matcher whose actions are of type A. Decode makes it; a nil Tree matches nothing.
type Tree[A any] struct {
	root *node[A]
	size int
}

// Len is the number of matchers, predicates and entries in the tree: what it costs to keep.
func (t *Tree[A]) Len() int {
	if t == nil {
		return 0
	}
	return t.size
}

// Match gives the action for what is in the input; false when nothing matches, or when it takes an input that is not there. The
// trace, nil on the data path, tells the way.
func (t *Tree[A]) Match(in *Input, tr *match.Trace) (A, bool) { return t.MatchEach(in, tr, nil) }

// MatchEach is Match for callers that allow keep_matching: kept, when not nil, is given each action on the way that says so
// (Envoy: SkippedMatchCb).
func (t *Tree[A]) MatchEach(in *Input, tr *match.Trace, kept func(A)) (A, bool) {
	var none A
	if t == nil || t.root == nil {
		return none, false
	}
	o, r := t.root.match(asking[A]{in, tr, kept})
	if r != yes {
		if r == unknown && tr != nil {
			tr.Note(false, "matcher", "an input is not there: nothing is decided")
		}
		return none, false
	}
	return o.action, true
}

// asking is one question on its way through the tree.
type asking[A any] struct {
	in   *Input
	tr   *match.Trace
	kept func(A)
}

// result is Envoy's three-valued answer.
type result uint8

const (
	no result = iota
	yes
	unknown // an input is not there
)

// onMatch is what follows from a match: an action or a further node.
type onMatch[A any] struct {
	path   string // of the OnMatch, for traces
	keep   bool
	action A
	nested *node[A]
}

// take follows an entry to the one whose action counts; nil is no entry.
func (o *onMatch[A]) take(q asking[A]) (*onMatch[A], result) {
	if o == nil {
		return nil, no
	}
	at, r := o, yes
	if o.nested != nil {
		at, r = o.nested.match(q)
	} else if q.tr != nil {
		q.tr.Note(true, o.path, "taken")
	}
	if r == yes && o.keep {
		if q.tr != nil {
			q.tr.Note(false, o.path, "keep_matching: the search goes on")
		}
		if q.kept != nil {
			q.kept(at.action)
		}
		return nil, no
	}
	return at, r
}

// A node is one Matcher: a list, a lookup, or neither. An entry that gives no result is passed over.
type node[A any] struct {
	list []entry[A]
	by   lookup[A] // nil without matcher_tree
	none *onMatch[A]
}

// entry is one FieldMatcher.
type entry[A any] struct {
	path string
	when predicate
	then *onMatch[A]
}

// A lookup is one kind of matcher_tree.
type lookup[A any] interface {
	find(q asking[A]) (*onMatch[A], result)
}

func (n *node[A]) match(q asking[A]) (*onMatch[A], result) {
	for i := range n.list {
		e := &n.list[i]
		r := e.when.holds(q.in, q.tr)
		if q.tr != nil {
			q.tr.Note(r == yes, e.path, "%s", [...]string{"does not match", "matches", "cannot be told"}[r])
		}
		if r == no {
			continue
		}
		if r == unknown {
			return nil, unknown
		}
		if o, r := e.then.take(q); r != no {
			return o, r
		}
	}
	if n.by != nil {
		if o, r := n.by.find(q); r != no {
			return o, r
		}
	}
	return n.none.take(q)
}
