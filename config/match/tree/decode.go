package tree

import (
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

// Inputs says which inputs a place of the configuration has.
type Inputs uint8

// The groups of inputs. They may be combined.
const (
	Connection  Inputs = 1 << iota // addresses, server name, transport and application protocol, source type
	Certificate                    // the client's certificate
	Request                        // header fields and query parameters of the request
	Response                       // header fields of the response
)

// Options say what the place of a matcher allows.
type Options struct {
	Inputs Inputs
	// KeepMatching allows keep_matching, for callers of MatchEach. It is an error otherwise, as in Envoy.
	KeepMatching bool
}

// Limits of one matcher. Real ones stay far below.
const (
	maxDepth = 32      // matchers in matchers, and predicates in predicates
	maxSize  = 1 << 18 // matchers, predicates, entries and ranges
)

// Decode compiles a matcher. It calls action for each action there is, with the path of its typed configuration below the
// matcher's own; the error that action returns is recorded there. Errors have field paths.
func Decode[A any](
	m *matcherv3.Matcher, o Options, action func(path string, cfg *xdscorev3.TypedExtensionConfig) (A, error),
) (*Tree[A], error) {
	d := &decoder[A]{opts: o, action: action}
	root := d.node("", m, 0)
	if d.size > maxSize {
		d.errs.Addf("", "larger than %d matchers, predicates and entries", maxSize)
	}
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	return &Tree[A]{root, d.size}, nil
}

type decoder[A any] struct {
	opts   Options
	action func(string, *xdscorev3.TypedExtensionConfig) (A, error)
	errs   fielderr.List
	size   int
}

// more counts one thing more; false when there are too many already, or they are nested too deep.
func (d *decoder[A]) more(at string, depth int) bool {
	if depth > maxDepth {
		d.errs.Addf(at, "nested deeper than %d", maxDepth)
		return false
	}
	d.size++
	return d.size <= maxSize
}

func (d *decoder[A]) node(at string, m *matcherv3.Matcher, depth int) *node[A] {
	n := &node[A]{}
	if !d.more(at, depth) {
		return n
	}
	switch t := m.GetMatcherType().(type) {
	case nil: // Envoy: only on_no_match counts
	case *matcherv3.Matcher_MatcherList_:
		list := fielderr.Join(at, "matcher_list.matchers")
		if len(t.MatcherList.GetMatchers()) == 0 {
			d.errs.Addf(list, "empty")
		}
		for i, f := range t.MatcherList.GetMatchers() {
			path := fielderr.Index(list, i)
			n.list = append(n.list, entry[A]{
				path,
				d.predicate(path+".predicate", f.GetPredicate(), depth+1),
				d.onMatch(path+".on_match", f.GetOnMatch(), depth+1),
			})
		}
	case *matcherv3.Matcher_MatcherTree_:
		n.by = d.lookup(fielderr.Join(at, "matcher_tree"), t.MatcherTree, depth)
	default:
		d.errs.Addf(fielderr.Join(at, "matcher_type"), "unsupported %T", t)
	}
	if m.GetOnNoMatch() != nil {
		n.none = d.onMatch(fielderr.Join(at, "on_no_match"), m.OnNoMatch, depth+1)
	}
	return n
}

func (d *decoder[A]) onMatch(at string, m *matcherv3.Matcher_OnMatch, depth int) *onMatch[A] {
	o := &onMatch[A]{path: at, keep: m.GetKeepMatching()}
	if !d.more(at, depth) {
		return o
	}
	if o.keep && !d.opts.KeepMatching {
		d.errs.Addf(at+".keep_matching", "not supported here: one action is taken")
	}
	switch t := m.GetOnMatch().(type) {
	case *matcherv3.Matcher_OnMatch_Matcher:
		o.nested = d.node(at+".matcher", t.Matcher, depth+1)
	case *matcherv3.Matcher_OnMatch_Action:
		path := at + ".action"
		d.named(path, t.Action)
		a, err := d.action(path, t.Action)
		d.errs.Add(path, err)
		o.action = a
	default:
		d.errs.Addf(at, "unset (one of matcher, action)")
	}
	return o
}

func (d *decoder[A]) predicate(at string, p *matcherv3.Matcher_MatcherList_Predicate, depth int) predicate {
	if !d.more(at, depth) {
		return either{}
	}
	switch t := p.GetMatchType().(type) {
	case *matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_:
		return d.single(at+".single_predicate", t.SinglePredicate)
	case *matcherv3.Matcher_MatcherList_Predicate_OrMatcher:
		return either(d.predicates(at+".or_matcher", t.OrMatcher, depth))
	case *matcherv3.Matcher_MatcherList_Predicate_AndMatcher:
		return all(d.predicates(at+".and_matcher", t.AndMatcher, depth))
	case *matcherv3.Matcher_MatcherList_Predicate_NotMatcher:
		return not{d.predicate(at+".not_matcher", t.NotMatcher, depth+1)}
	}
	d.errs.Addf(at, "unset (one of single_predicate, or_matcher, and_matcher, not_matcher)")
	return either{}
}

func (d *decoder[A]) predicates(at string, l *matcherv3.Matcher_MatcherList_Predicate_PredicateList, depth int) []predicate {
	at += ".predicate"
	if n := len(l.GetPredicate()); n < 2 { // refused by Envoy's constraints too
		d.errs.Addf(at, "has %d items, at least 2 are wanted", n)
	}
	var out []predicate
	for i, p := range l.GetPredicate() {
		out = append(out, d.predicate(fielderr.Index(at, i), p, depth+1))
	}
	return out
}

func (d *decoder[A]) lookup(at string, t *matcherv3.Matcher_MatcherTree, depth int) lookup[A] {
	from := d.input(at+".input", t.GetInput())
	switch k := t.GetTreeType().(type) {
	case *matcherv3.Matcher_MatcherTree_ExactMatchMap:
		return &exactly[A]{from, d.entries(at+".exact_match_map", k.ExactMatchMap, depth)}
	case *matcherv3.Matcher_MatcherTree_PrefixMatchMap:
		l := &beginning[A]{from: from, by: d.entries(at+".prefix_match_map", k.PrefixMatchMap, depth)}
		for key := range l.by {
			if !slices.Contains(l.lengths, len(key)) {
				l.lengths = append(l.lengths, len(key))
			}
		}
		slices.SortFunc(l.lengths, func(a, b int) int { return b - a })
		return l
	case *matcherv3.Matcher_MatcherTree_CustomMatch:
		return d.custom(at+".custom_match", from, k.CustomMatch, depth)
	}
	d.errs.Addf(at, "unset (one of exact_match_map, prefix_match_map, custom_match)")
	return &exactly[A]{from: from}
}

func (d *decoder[A]) entries(at string, m *matcherv3.Matcher_MatcherTree_MatchMap, depth int) map[string]*onMatch[A] {
	at += ".map"
	if len(m.GetMap()) == 0 {
		d.errs.Addf(at, "empty")
	}
	out := make(map[string]*onMatch[A], len(m.GetMap()))
	keys := make([]string, 0, len(m.GetMap()))
	for k := range m.GetMap() {
		keys = append(keys, k)
	}
	slices.Sort(keys) // errors in a fixed order
	for _, k := range keys {
		out[k] = d.onMatch(fielderr.Key(at, k), m.GetMap()[k], depth+1)
	}
	return out
}

// named checks what every extension has.
func (d *decoder[A]) named(at string, c *xdscorev3.TypedExtensionConfig) {
	if c.GetName() == "" {
		d.errs.Addf(at+".name", "empty")
	}
	if c.GetTypedConfig() == nil {
		d.errs.Addf(at+".typed_config", "unset")
	}
}
