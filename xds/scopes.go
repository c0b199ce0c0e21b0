package xds

import (
	"maps"
	"slices"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
)

// missingAll says what one that refers to all resources of a type waits for, as a connection manager with scoped routes does: the
// first answer, then those of it that wait themselves.
func (s *Session) missingAll(ref extension.Ref) string {
	t := s.typeFor(ref)
	if t == nil || !t.heard {
		return refWord(ref)
	}
	for _, name := range slices.Sorted(maps.Keys(t.slots)) {
		if o := t.slots[name]; o.want != nil && o.next == nil {
			return quote(t.noun, name) + ", which waits for " + o.waits
		}
	}
	return ""
}

// keepAll leaves the resources of a type, scopes or virtual hosts, of sources that are referred to. What was removed is gone at once.
func (s *Session) keepAll(k kind) {
	for _, t := range s.ofKind(k) {
		_, used := s.referred(t)["*"]
		for _, o := range t.slots {
			if o.want == nil || !used {
				o.next = nil
			}
		}
	}
}

// clash says that a scope of a response has the key of another one, which stays: one that is here and does not change, or one before
// it.
func (s *Session) clash(t *typeState, r *response, i int) error {
	own, ok := r.items[i].res.Value.(*route.Scope)
	if !ok {
		return nil
	}
	same := func(it *item) bool { o := t.slots[it.name]; return o != nil && it.res == o.want }
	for j := range r.items {
		it := &r.items[j]
		if j == i || it.skip {
			continue
		}
		res := it.res
		if it.err != nil || res == nil { // what is here stays
			if o := t.slots[it.name]; o != nil {
				res = o.want
			}
		} else if a, b := same(it), same(&r.items[i]); b && !a || a == b && j > i {
			continue
		}
		if res == nil {
			continue
		}
		if o, ok := res.Value.(*route.Scope); ok && o.Key == own.Key {
			return route.KeyTaken(own.Name, o.Name)
		}
	}
	for name, o := range t.slots {
		if _, told := r.seen[name]; told || !r.delta && !r.partial || o.want == nil || slices.Contains(r.removed, name) {
			continue
		}
		if x, ok := o.want.Value.(*route.Scope); ok && x.Key == own.Key {
			return route.KeyTaken(own.Name, name)
		}
	}
	return nil
}
