package stats

import (
	"cmp"
	"slices"
	"strings"
)

// view is what is needed of a node to print it after the lock is given back.
// The slices are append-only, so that their headers are enough.
type view struct {
	prefix string   // what the full names begin with: "" or ends in a dot
	path   []string // scope names, from the top
	blocks []block
	single []entry
	rules  *Rules
}

// sample is one statistic that passed a filter.
type sample struct {
	key
	from *view
	stat any
}

// appendName appends the full name.
func (sm *sample) appendName(buf []byte) []byte {
	return append(append(buf, sm.from.prefix...), sm.name...)
}

// views lists the tree's nodes that hold statistics, sorted by prefix. The
// lock is held for this only, so that a scrape does not delay configuration.
func (s *Store) views() []*view {
	rules := s.current()
	s.mu.Lock()
	var out []*view
	var walk func(n *node, prefix string, path []string)
	walk = func(n *node, prefix string, path []string) {
		if len(n.blocks) > 0 || len(n.single) > 0 {
			out = append(out, &view{prefix, path, n.blocks, n.single, rules})
		}
		for name, c := range n.children {
			full := prefix
			if name != "" {
				full += name + "."
			}
			walk(c, full, append(path[:len(path):len(path)], name))
		}
	}
	walk(&s.root, "", nil)
	s.mu.Unlock()

	slices.SortFunc(out, func(a, b *view) int { return cmp.Compare(a.prefix, b.prefix) })
	return out
}

func (s *Store) fixedTags() []label {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fixed
}

// each calls visit for the statistics of one view that the filter keeps, in no
// order.
func (v *view) each(f Filter, visit func(sample)) {
	var buf []byte
	take := func(sm sample) {
		if !f.keepsKind(sm.kind) || f.UsedOnly && !used(sm.stat) {
			return
		}
		if f.Match != nil || v.rules.Keep != nil {
			buf = sm.appendName(buf[:0])
			if f.Match != nil && f.Match.Match(buf) == f.Invert || v.rules.Keep != nil && !v.rules.Keep(string(buf)) {
				return
			}
		}
		visit(sm)
	}
	for i := range v.blocks {
		for j := range v.blocks[i].layout.fields {
			fd := &v.blocks[i].layout.fields[j]
			take(sample{fd.key, v, v.blocks[i].at(fd)})
		}
	}
	for i := range v.single {
		take(sample{v.single[i].key, v, v.single[i].stat})
	}
}

// walkSorted calls visit for what the filter keeps, sorted by full name, then
// kind. It sorts a cluster at a time: names of two views can only mix where
// the prefix of one begins with the prefix of the other.
func walkSorted(views []*view, f Filter, visit func(*sample)) {
	var batch []sample
	for len(views) > 0 {
		n := 1
		for n < len(views) && strings.HasPrefix(views[n].prefix, views[0].prefix) {
			n++
		}
		batch = batch[:0]
		for _, v := range views[:n] {
			v.each(f, func(sm sample) { batch = append(batch, sm) })
		}
		slices.SortFunc(batch, compareNames)
		for i := range batch {
			visit(&batch[i])
		}
		views = views[n:]
	}
}

// walkKinds is walkSorted of some kinds.
func walkKinds(views []*view, f Filter, kinds []Kind, visit func(*sample)) {
	if len(f.Kinds) > 0 {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return !slices.Contains(f.Kinds, k) })
		if len(kinds) == 0 {
			return
		}
	}
	f.Kinds = kinds
	walkSorted(views, f, visit)
}

// bounds are the upper bounds of a histogram's buckets.
func (sm *sample) bounds() []float64 {
	return sm.from.rules.bounds(func() string { return string(sm.appendName(nil)) })
}

func compareNames(a, b sample) int {
	if a.from == b.from {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
	}
	return cmp.Or(cmp.Compare(a.from.prefix+a.name, b.from.prefix+b.name), cmp.Compare(a.kind, b.kind))
}

func used(st any) bool {
	switch st := st.(type) {
	case *Counter:
		return st.Used()
	case *Gauge:
		return st.Used()
	case *Histogram:
		return st.Used()
	case *Text:
		return st.Used()
	default:
		return false
	}
}

// ResetCounters sets every counter to zero (Envoy: POST /reset_counters).
// Gauges and histograms keep their values.
func (s *Store) ResetCounters() {
	for _, v := range s.views() {
		v.each(Filter{}, func(sm sample) {
			if c, ok := sm.stat.(*Counter); ok {
				c.reset()
			}
		})
	}
}

// Value returns the counter or gauge of that full name, for tests and for
// admin pages that show a single number. It looks through the whole store.
func (s *Store) Value(name string) (value int64, ok bool) {
	for _, v := range s.views() {
		rest, fits := strings.CutPrefix(name, v.prefix)
		if !fits {
			continue
		}
		v.each(Filter{}, func(sm sample) {
			if sm.name != rest {
				return
			}
			switch st := sm.stat.(type) {
			case *Counter:
				value, ok = int64(st.Value()), true
			case *Gauge:
				value, ok = st.Value(), true
			}
		})
	}
	return value, ok
}
