package stats

import (
	"cmp"
	"slices"
)

// view is what is needed of a node to print it after the lock is given back.
// The slices are append-only, so that their headers are enough.
type view struct {
	prefix string   // dotted
	path   []string // scope names, from the top
	blocks []block
	single []entry
}

// sample is one statistic that passed a filter.
type sample struct {
	name string // full, dotted
	key
	from *view
	stat any
}

// views lists the tree's nodes that hold statistics. Holding the lock only for
// this keeps scrapes from delaying configuration.
func (s *Store) views() []*view {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*view
	var walk func(n *node, prefix string, path []string)
	walk = func(n *node, prefix string, path []string) {
		if len(n.blocks) > 0 || len(n.single) > 0 {
			out = append(out, &view{prefix, path, n.blocks, n.single})
		}
		for name, c := range n.children {
			full := name
			if prefix != "" {
				full = prefix + "." + name
			}
			walk(c, full, append(path[:len(path):len(path)], name))
		}
	}
	walk(&s.root, "", nil)
	return out
}

// collect returns the statistics the filter keeps, sorted by name, then kind.
func (s *Store) collect(f Filter) []sample {
	var out []sample
	take := func(v *view, k key, st any) {
		if full, ok := f.keeps(k.kind, used(st), v.prefix, k.name); ok {
			out = append(out, sample{full, k, v, st})
		}
	}
	for _, v := range s.views() {
		for i := range v.blocks {
			for _, fd := range v.blocks[i].layout.fields {
				take(v, fd.key, v.blocks[i].at(fd))
			}
		}
		for i := range v.single {
			take(v, v.single[i].key, v.single[i].stat)
		}
	}
	slices.SortFunc(out, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
	})
	return out
}

func used(st any) bool {
	switch st := st.(type) {
	case *Counter:
		return st.Used()
	case *Gauge:
		return st.Used()
	case *Histogram:
		return st.Used()
	default:
		return false
	}
}

// ResetCounters sets every counter to zero (Envoy: POST /reset_counters).
// Gauges and histograms keep their values.
func (s *Store) ResetCounters() {
	for _, sm := range s.collect(Filter{Kinds: []Kind{KindCounter}}) {
		if c, ok := sm.stat.(*Counter); ok {
			c.reset()
		}
	}
}

// Value returns the counter or gauge of that full name, for tests and for
// admin pages that show a single number.
func (s *Store) Value(name string) (int64, bool) {
	for _, sm := range s.collect(Filter{}) {
		if sm.name != name {
			continue
		}
		switch st := sm.stat.(type) {
		case *Counter:
			return int64(st.Value()), true
		case *Gauge:
			return st.Value(), true
		}
	}
	return 0, false
}
