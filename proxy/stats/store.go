package stats

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Store is the tree of all statistics of a process. Its methods, and those of
// its scopes, may be called from any goroutine; they take one lock and are
// meant for configuration time and for reading, not for the request path.
type Store struct {
	mu      sync.Mutex
	root    node                     // guarded by mu
	layouts map[reflect.Type]*layout // guarded by mu
	fixed   []label                  // guarded by mu; replaced, never changed
	rules   atomic.Pointer[Rules]    // nil: the default ones

	flushing sync.Mutex
	used     []*Histogram // guarded by flushing: kept for its memory
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{layouts: make(map[reflect.Type]*layout)}
}

// FixTag gives every statistic a label in Prometheus' output (Envoy:
// --stats-tag, and stats_tags with a fixed_value). The last value given to a
// name wins; a label the statistic has of itself wins over both.
func (s *Store) FixTag(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fixed = slices.DeleteFunc(slices.Clone(s.fixed), func(l label) bool { return promName(l.name) == promName(name) })
	s.fixed = append(s.fixed, label{name: name, value: value})
}

// node is what all scopes of one name under one parent share. All fields but
// the first two are guarded by Store.mu.
type node struct {
	parent   *node
	name     string
	refs     int // open scopes on this node, and child nodes
	children map[string]*node
	blocks   []block              // filled structs; append-only
	single   []entry              // statistics asked for by name; append-only
	index    map[key]int          // of single, once it is long
	filled   map[reflect.Type]any // what Fill returned when it could not make a block
}

type key struct {
	kind Kind
	name string
}

type entry struct {
	key
	stat any // *Counter, *Gauge, *Histogram or *Text
}

// longScope is the number of single statistics above which a node keeps an
// index; scanning fewer is faster than hashing and costs no map per cluster.
const longScope = 32

// Scope is a handle on a named part of the tree. Two scopes with the same name
// under the same parent share their statistics, so a cluster that is replaced
// keeps its counts: open the new scope before closing the old one.
type Scope struct {
	store *Store
	node  *node

	// guarded by store.mu
	owner   *Scope   // the scope this one was derived from; nil at the top
	place   int      // in owner.derived
	derived []*Scope // open scopes derived from this one
	closed  bool
}

// Scope opens the scope of that name at the top of the tree, such as
// `cluster.a` or `http.ingress`. Leading and trailing dots are dropped, and a
// colon becomes an underscore, as in Envoy. More names go deeper at once:
// Scope("cluster", name) leaves no scope of `cluster` open behind it.
func (s *Store) Scope(prefix string, names ...string) *Scope {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Scope{store: s, node: s.root.openPath(prefix, names)}
}

// Scope opens the scope of that name within this one. A name from
// configuration, which may contain dots, must be passed as an argument of its
// own — store.Scope("cluster", name) — so that it stays one label in
// Prometheus; `cluster.` followed by a name is understood as the same.
//
// Closing this scope closes the new one too. So keep the outermost scope you
// opened and close that: one opened only to call Scope on it is never closed,
// and what it holds stays.
func (sc *Scope) Scope(name string, names ...string) *Scope {
	sc.store.mu.Lock()
	defer sc.store.mu.Unlock()
	child := &Scope{store: sc.store, node: sc.node.openPath(name, names), owner: sc, place: len(sc.derived)}
	sc.derived = append(sc.derived, child)
	return child
}

// Counter returns the counter of that name, making it at the first call.
func (sc *Scope) Counter(name string) *Counter { return get[Counter](sc, KindCounter, name) }

// Gauge returns the gauge of that name, making it at the first call.
func (sc *Scope) Gauge(name string) *Gauge { return get[Gauge](sc, KindGauge, name) }

// Histogram returns the histogram of that name, making it at the first call.
func (sc *Scope) Histogram(name string) *Histogram { return get[Histogram](sc, KindHistogram, name) }

// Text returns the text of that name, making it at the first call.
func (sc *Scope) Text(name string) *Text { return get[Text](sc, KindText, name) }

// Close closes this scope and every scope derived from it. Statistics no open
// scope reaches leave the store; whoever still holds them may go on using
// them, unseen. Closing twice is harmless.
func (sc *Scope) Close() {
	sc.store.mu.Lock()
	defer sc.store.mu.Unlock()
	sc.close()
}

func (sc *Scope) close() {
	if sc.closed {
		return
	}
	sc.closed = true
	for len(sc.derived) > 0 {
		sc.derived[len(sc.derived)-1].close() // takes itself off the list
	}
	if o := sc.owner; o != nil {
		last := o.derived[len(o.derived)-1]
		o.derived[sc.place], last.place = last, sc.place
		o.derived[len(o.derived)-1] = nil
		o.derived = o.derived[:len(o.derived)-1]
	}
	sc.node.release()
}

// openPath opens the first name, then the others below it; only the last node
// keeps the reference, and through it those above.
func (n *node) openPath(first string, names []string) *node {
	c := n.open(first)
	for _, name := range names {
		next := c.open(name)
		c.release()
		c = next
	}
	return c
}

// open returns the child of that name with one reference more.
func (n *node) open(name string) *node {
	name = clean(name)
	c := n.children[name]
	if c == nil {
		c = &node{parent: n, name: name}
		if n.children == nil {
			n.children = make(map[string]*node)
		}
		n.children[name] = c
		n.refs++
	}
	c.refs++
	return c
}

// release drops one reference, and the node with its last one.
func (n *node) release() {
	for n.parent != nil {
		if n.refs--; n.refs > 0 {
			return
		}
		parent := n.parent
		delete(parent.children, n.name)
		n.parent = nil // a scope opened on a closed one must not release twice
		n = parent
	}
}

// find returns the statistic of that kind and name, or nil.
func (n *node) find(k key) any {
	for i := range n.blocks {
		if st := n.blocks[i].find(k); st != nil {
			return st
		}
	}
	if n.index != nil {
		if i, ok := n.index[k]; ok {
			return n.single[i].stat
		}
		return nil
	}
	for i := range n.single {
		if n.single[i].key == k {
			return n.single[i].stat
		}
	}
	return nil
}

// add appends a statistic that find does not know.
func (n *node) add(k key, st any) {
	n.single = append(n.single, entry{k, st})
	switch {
	case n.index != nil:
		n.index[k] = len(n.single) - 1
	case len(n.single) > longScope:
		n.index = make(map[key]int, 2*len(n.single))
		for i := range n.single {
			n.index[n.single[i].key] = i
		}
	}
}

func get[T any](sc *Scope, kind Kind, name string) *T {
	sc.store.mu.Lock()
	defer sc.store.mu.Unlock()
	return getLocked[T](sc.node, key{kind, clean(name)})
}

func getLocked[T any](n *node, k key) *T {
	if st, ok := n.find(k).(*T); ok {
		return st
	}
	st := new(T)
	n.add(k, st)
	return st
}

// clean makes a name printable on one line: Envoy replaces colons, which its
// StatsD sinks cannot carry, and we replace control bytes as well.
func clean(name string) string {
	name = strings.Trim(name, ".")
	bad := func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }
	if strings.IndexFunc(name, bad) < 0 {
		return name
	}
	return strings.Map(func(r rune) rune {
		if bad(r) {
			return '_'
		}
		return r
	}, name)
}
