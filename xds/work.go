package xds

import (
	"iter"
	"maps"
	"slices"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/turn"
)

// A step looks at what may come out otherwise than in the step before, not at all there is: of the types that have thousands of
// resources those slots that were marked, which are the ones whose version changed, that wait, or to which references came or went.
// What is not marked has next == live. A test holds every step to what looking at everything gives.

// few says that a type has so few resources that all are looked at.
func (t *typeState) few() bool {
	switch t.k {
	case cds, eds, lds, rds:
		return false
	}
	return true
}

// mark has a slot looked at.
func (t *typeState) mark(o *slot) {
	if o == nil {
		return
	}
	if t.marked == nil {
		t.marked = map[*slot]struct{}{}
	}
	t.marked[o] = struct{}{}
}

// restart has everything of a type looked at.
func (t *typeState) restart() { t.stale, t.all, t.used = true, true, nil }

// work gives the slots that are to be looked at.
func (t *typeState) work() iter.Seq[*slot] {
	if t.all || t.few() {
		t.looks += len(t.slots)
		return turn.Each(maps.Values(t.slots))
	}
	t.looks += len(t.marked)
	return turn.Each(maps.Keys(t.marked))
}

// changed says that the version that a slot has, or that serves, is another one.
func (s *Session) changed(t *typeState, o *slot, was, is *config.Resource) {
	t.mark(o)
	for _, ref := range without(was, is) {
		if own(ref.Source) {
			s.moved = true
		}
		if r := s.typeFor(ref); r != nil && ref.Source.Stream() == r.from {
			r.stale = true
		}
	}
	for _, ref := range without(is, was) {
		if own(ref.Source) {
			s.moved = true
		}
		if r := s.typeFor(ref); r != nil && ref.Source.Stream() == r.from { // not one of the bootstrap
			r.ask(ref.Name)
		}
	}
}

// ask adds a name to those that a type is subscribed to, with the next interest.
func (t *typeState) ask(name string) {
	if t.stale = t.stale || name == "*"; t.stale { // a wildcard is no name
		return
	}
	if o := t.slots[name]; o != nil && o.want != nil && o.want.Static {
		return
	}
	if _, found := slices.BinarySearch(t.asks, name); !found {
		t.fresh = append(t.fresh, name)
	}
}

// admit puts the names that came into those that are asked for.
func (t *typeState) admit() {
	if len(t.fresh) == 0 {
		return
	}
	slices.Sort(t.fresh)
	more := slices.Compact(t.fresh)
	t.fresh = nil
	all := make([]string, 0, len(t.asks)+len(more))
	for _, name := range t.asks {
		for len(more) > 0 && more[0] <= name {
			if more[0] < name {
				all = append(all, more[0])
			}
			more = more[1:]
		}
		all = append(all, name)
	}
	t.asks = append(all, more...)
	t.lacking = true
}

// without gives the references of a that b has not.
func without(a, b *config.Resource) (out []extension.Ref) {
	if a == nil {
		return nil
	}
	if b == nil {
		return a.Refs
	}
	for _, ref := range a.Refs {
		if !slices.Contains(b.Refs, ref) {
			out = append(out, ref)
		}
	}
	return out
}

// references gives the names of t that the next resources of its owners refer to, and marks those of which that is new.
func (s *Session) references(t *typeState) map[string]struct{} {
	if t.used == nil {
		t.all, t.used = true, s.referred(t)
		return t.used
	}
	gone := false
	for _, owner := range s.owners(t) {
		for o := range owner.work() {
			if o.next == o.live {
				continue
			}
			for _, ref := range without(o.live, o.next) {
				if s.typeFor(ref) == t {
					gone = true
					t.mark(t.slots[ref.Name])
				}
			}
			for _, ref := range without(o.next, o.live) {
				if s.typeFor(ref) == t {
					t.used[ref.Name] = struct{}{}
					t.mark(t.slots[ref.Name])
				}
			}
		}
	}
	if gone { // another may refer to the same
		t.used = s.referred(t)
	}
	return t.used
}

// tally is what Stats counts of slots.
type tally struct{ bad, warming, active, degraded int }

func (o *slot) tally() (n tally) {
	if o.bad != nil {
		n.bad = 1
	}
	if o.waits != "" {
		n.warming = 1
	}
	if o.live != nil {
		n.active, n.degraded = 1, len(o.live.Degraded)
	}
	return n
}

func (n *tally) add(d tally, sign int) {
	n.bad += sign * d.bad
	n.warming += sign * d.warming
	n.active += sign * d.active
	n.degraded += sign * d.degraded
}

// rest ends the work on a type: what is settled need not be looked at again.
func (t *typeState) rest() {
	if t.all || t.few() {
		t.sum, t.marked = tally{}, nil
		for o := range turn.Each(maps.Values(t.slots)) {
			o.counts = o.tally()
			t.sum.add(o.counts, 1)
			if !o.settled() {
				t.mark(o)
			}
		}
		t.all = false
		return
	}
	for o := range turn.Each(maps.Keys(t.marked)) {
		t.sum.add(o.counts, -1)
		o.counts = o.tally()
		t.sum.add(o.counts, 1)
		if o.settled() {
			delete(t.marked, o)
		}
	}
}

func (o *slot) settled() bool { return o.want == o.live && o.waits == "" }

// forget takes a slot away.
func (t *typeState) forget(o *slot) {
	t.sum.add(o.counts, -1)
	delete(t.marked, o)
	delete(t.slots, o.name)
}
