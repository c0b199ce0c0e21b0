package xds

import (
	"maps"
	"slices"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// referred marks the names of type t that the next resources of its owner refer to.
func (s *Session) referred(t *typeState) map[string]struct{} {
	set := s.addRoots(t, t.pinned())
	for _, owner := range s.owners(t) {
		for _, o := range owner.slots {
			if o.next == nil {
				continue
			}
			for _, ref := range o.next.Refs {
				if s.typeFor(ref) == t {
					set[ref.Name] = struct{}{}
				}
			}
		}
	}
	return set
}

// keepRoutes leaves the routes that a serving listener refers to.
func (s *Session) keepRoutes() {
	for _, t := range s.ofKind(rds) {
		used := s.references(t)
		for o := range t.work() {
			if _, ok := used[o.name]; !ok && (o.want == nil || !o.want.Static) {
				o.next = nil
			}
		}
	}
}

// keepEndpoints gives every serving cluster its endpoints, at once.
func (s *Session) keepEndpoints() {
	for _, t := range s.ofKind(eds) {
		used := s.references(t)
		for o := range t.work() {
			o.next = nil
			if _, ok := used[o.name]; ok {
				o.next = o.want
			}
		}
	}
}

// keepSecrets gives everything that serves its secrets, at once. A secret of the bootstrap is there in any case.
func (s *Session) keepSecrets() {
	for _, t := range s.ofKind(sds) {
		used := s.references(t)
		for _, o := range t.slots {
			o.next = nil
			if _, ok := used[o.name]; ok || o.want != nil && o.want.Static {
				o.next = o.want
			}
		}
	}
}

// keepClusters holds the removal of clusters that are still used.
func (s *Session) keepClusters() {
	removed := newNameSet()
	for _, t := range s.ofKind(cds) {
		for o := range t.work() {
			if o.want == nil && o.live != nil {
				o.next, o.waits = nil, ""
				if !o.expired {
					removed.add(o.name)
				}
			}
		}
	}
	if len(removed.names) == 0 {
		return
	}
	for _, k := range [...]kind{lds, rds, srds, vhds, ecds} {
		for _, t := range s.ofKind(k) {
			for _, user := range t.slots {
				removed.each(user.next, func(name string) bool {
					o := s.cluster(name)
					if w := "removal while " + quote(t.noun, user.name) + " uses it"; o.waits == "" || w < o.waits {
						o.next, o.waits = o.live, w
						s.types[cds].mark(s.types[cds].slots[name])
					}
					return true
				})
			}
		}
	}
}

// commit makes the next state the live one and gives its snapshot, or nil when it is the same. A type in which nothing changed
// shares its map with the snapshot before.
func (s *Session) commit() *config.Snapshot {
	next, changed := *s.snapshot, false
	for k, m := range [kinds]*map[string]*config.Resource{
		rtds: &next.Runtime,
		sds:  &next.Secrets, cds: &next.Clusters, eds: &next.Endpoints, lds: &next.Listeners, rds: &next.Routes, srds: &next.Scopes, vhds: &next.Hosts, ecds: &next.Extensions,
	} {
		if s.commitKind(kind(k), m) {
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return &next
}

// commitKind does so for the resources of a kind, and tells whether there was a change.
func (s *Session) commitKind(k kind, m *map[string]*config.Resource) (changed bool) {
	all := s.ofKind(k)
	var names []string // whose resource changes, when one state has them all
	for _, t := range all {
		for o := range t.work() {
			if o.next != o.live {
				s.changed(t, o, o.live, o.next)
				names = append(names, o.name)
			}
		}
	}
	if len(names) == 0 {
		return false
	}
	for _, t := range all {
		for o := range t.work() {
			if o.live != o.next {
				o.updated = s.now
			}
			if o.live = o.next; o.live == o.want {
				o.expired, o.waits = false, ""
			}
		}
	}
	if len(all) > 1 { // one name may come from several places: the first counts
		*m = map[string]*config.Resource{}
		for _, t := range all {
			for name, o := range t.slots {
				if key := t.key(name); o.live != nil && (*m)[key] == nil {
					(*m)[key] = o.live
				}
			}
		}
		return true
	}
	if *m = maps.Clone(*m); *m == nil {
		*m = make(map[string]*config.Resource, len(names))
	}
	for _, name := range names {
		if live := all[0].slots[name].live; live != nil {
			(*m)[all[0].key(name)] = live
		} else {
			delete(*m, all[0].key(name))
		}
	}
	return true
}

// key is by what the data plane knows a resource. Clusters are known by name, wherever they come from.
func (t *typeState) key(name string) string {
	if t.full && len(t.owner) == 0 {
		return name
	}
	return extension.Ref{TypeURL: t.url, Name: name, Source: t.from}.Key()
}

// sweep makes slots for what is now referred to and drops those that nothing needs.
func (s *Session) sweep() {
	s.moveSources()
	for _, t := range s.types {
		again := t.stale || t.all || t.few()
		names := s.interest(t)
		if again || t.lacking {
			for _, n := range names {
				if t.slots[n] == nil {
					t.slots[n] = &slot{name: n, since: s.now}
				}
			}
			t.lacking = false
		}
		look := t.work()
		if again {
			look = maps.Values(t.slots)
		}
		for o := range look {
			if o.live != nil || o.want != nil && (o.want.Static || t.full) || o.bad != nil && t.wild {
				continue
			}
			if _, asked := slices.BinarySearch(names, o.name); !asked {
				t.forget(o)
			}
		}
		t.rest()
	}
}
