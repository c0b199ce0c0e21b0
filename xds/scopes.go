package xds

import (
	"fmt"
	"maps"
	"slices"

	"github.com/weirproxy/weir/config"
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
		if o := t.slots[name]; o.want != nil && (o.next == nil || o.waits != "" && !routedFrom(o.next, ref.Routes)) {
			return quote(t.noun, name) + ", which waits for " + o.waits
		}
	}
	return ""
}

// Scopes that are discovered do not say where their routes come from: that says who refers to them (rds_config_source). Their references
// are made of both, anew whenever those who refer to them change.

// rescope does so, and takes what was refused for a key that is free by now.
func (s *Session) rescope() (changed bool) {
	for _, t := range s.ofKind(srds) {
		if len(t.slots) == 0 {
			continue
		}
		s.interest(t)
		for _, name := range slices.Sorted(maps.Keys(t.slots)) {
			o := t.slots[name]
			if o.spare != nil && s.keyHolder(t, o.spare) == "" {
				s.take(t, &item{res: o.spare, version: o.spare.Version})
				if t.nack != nil {
					t.nack.Standing = t.refuses()
				}
				s.log(Info, "%s: its key is free now", quote(t.noun, name))
			}
			if r := s.routed(t, o); r != o.want {
				if o.want == o.live || r == o.live {
					o.since, o.expired, o.waits = s.now, false, ""
				}
				s.changed(t, o, o.want, r)
				o.want, changed = r, true
			}
		}
	}
	return changed
}

// routed is a scope with the references to its routes wherever these come from. It is the one that is here when that has them.
func (s *Session) routed(t *typeState, o *slot) *config.Resource {
	r := o.want
	if r == nil || len(t.routes) == 0 {
		return r
	}
	sc, ok := r.Value.(*route.Scope)
	if !ok || sc.Table != nil || sc.OnDemand {
		return r
	}
	var refs []extension.Ref
	for _, src := range t.routes {
		refs = append(refs, sc.TableRef(src))
	}
	if slices.Equal(refs, r.Refs) {
		return r
	}
	if same(o.live, r.Raw) && slices.Equal(refs, o.live.Refs) {
		return o.live
	}
	c := *r
	c.Refs = refs
	return &c
}

// routedFrom says that a scope needs no routes of a source, or refers to them.
func routedFrom(r *config.Resource, from extension.Source) bool {
	sc, ok := r.Value.(*route.Scope)
	return !ok || sc.Table != nil || sc.OnDemand || slices.Contains(r.Refs, sc.TableRef(from))
}

// keyHolder names another scope that has the key of r.
func (s *Session) keyHolder(t *typeState, r *config.Resource) string {
	own, _ := r.Value.(*route.Scope)
	for name, o := range t.slots {
		if name == r.Name || o.want == nil {
			continue
		}
		if x, ok := o.want.Value.(*route.Scope); ok && own != nil && x.Key == own.Key {
			return name
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

// unanswerable says why the virtual hosts that a route configuration discovers cannot come.
func (s *Session) unanswerable(it *item) error {
	for _, ref := range it.res.Refs {
		if ref.TypeURL != VirtualHostType {
			continue
		}
		from, delta := ref.Source.String(), ref.Source.Delta
		if t := s.typeFor(ref); !own(ref.Source) && t.source >= 0 {
			from, delta = s.sources[t.source].Name, s.sources[t.source].Delta
		} else if !own(ref.Source) {
			continue
		}
		if !delta {
			return fmt.Errorf("vhds.config_source: virtual hosts come by the incremental protocol only, which %s does not speak", quote("source", from))
		}
	}
	return nil
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
