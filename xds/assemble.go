package xds

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// assemble computes the next snapshot from what was accepted and what serves now; nil when nothing changes.
//
// A new version replaces the serving one when what it needs is there:
//
//   - a cluster, when its endpoints are;
//   - a route, when no cluster that it mentions is still warming for the first time;
//   - a route that discovers virtual hosts, when these had a first answer; a virtual host as a route;
//   - a scope, when its routes are;
//   - an extension, when what it refers to is, likewise for the clusters it mentions;
//   - a listener, when its routes and extensions are, likewise for the clusters it mentions itself, and after the first answer of CDS;
//     the first version of one also when the runtime layers are there, or no longer waited for.
//
// Removal comes last: a cluster stays while a listener or route that serves mentions it, a listener stays while a new listener is
// warming (it may be taking over the address). Routes and endpoints stay as long as something that serves refers to them.
// The warming deadline ends every wait.
func (s *Session) assemble() *config.Snapshot {
	absent := s.warmClusters()
	s.warmOwned(vhds, absent)
	s.warmRoutes(absent)
	s.warmOwned(srds, absent)
	s.warmOwned(ecds, absent)
	s.warmListeners(absent)
	s.keepExtensions()
	s.keepAll(srds)
	s.keepRoutes()
	s.keepAll(vhds)
	s.keepClusters()
	s.keepEndpoints()
	s.keepSecrets()
	s.keepRuntime()
	next := s.commit()
	s.sweep()
	s.arm()
	return next
}

// warmClusters decides which clusters go in and gives the names of those that never did and still wait.
func (s *Session) warmClusters() *nameSet {
	absent := newNameSet()
	for _, t := range s.ofKind(cds) {
		for o := range t.work() {
			o.next = o.live
			if o.want == nil || o.want == o.live {
				continue
			}
			if o.waits = ""; !o.expired {
				o.waits = s.missing(o)
			}
			if o.waits == "" {
				o.next = o.want
			} else if o.live == nil {
				absent.add(o.name)
			}
		}
	}
	return absent
}

// warmRoutes decides which routes may serve. Whether one does depends on the listeners.
func (s *Session) warmRoutes(absent *nameSet) {
	for _, t := range s.ofKind(rds) {
		for o := range t.work() {
			o.next = o.live
			if o.want == nil || o.want == o.live {
				continue
			}
			if o.waits = ""; !o.expired {
				o.waits = s.missing(o)
			}
			if o.waits == "" && !o.expired {
				o.waits = s.warmingCluster(o.want, absent)
			}
			if o.waits == "" {
				o.next = o.want
			}
		}
	}
}

// warmListeners decides which listeners go in, then which leave.
func (s *Session) warmListeners(absent *nameSet) {
	t := s.types[lds]
	arriving := ""
	for o := range t.work() {
		o.next = o.live
		if o.want == nil || o.want == o.live {
			continue
		}
		if o.waits = ""; !o.expired {
			o.waits = s.missing(o)
		}
		if o.waits == "" && !o.expired {
			o.waits = s.warmingCluster(o.want, absent)
		}
		if c := s.types[cds]; o.waits == "" && !o.expired && (!c.answered || c.restored && !o.restored) {
			o.waits = s.typeWord(c)
		}
		if o.waits == "" && o.live == nil && !o.expired {
			o.waits = s.missingRoot()
		}
		if o.waits != "" {
			if o.live == nil && (arriving == "" || o.name < arriving) {
				arriving = o.name
			}
			continue
		}
		o.next = o.want
		for _, ref := range o.want.Refs { // late: its routes go in too, even those that wait for a cluster
			if r := s.lookup(ref); r != nil && r.next == nil {
				r.next = r.want
				s.typeFor(ref).mark(r)
			}
		}
	}
	for o := range t.work() {
		if o.want != nil || o.live == nil {
			continue
		}
		if o.waits = ""; arriving != "" && !o.expired {
			o.waits = "removal until " + quote("listener", arriving) + " is warm"
		} else {
			o.next = nil
		}
	}
}

// missing names the first reference of a slot's new version that is not there. One that the serving version lacks as well is not
// waited for again, nor are endpoints that the server says do not exist (Envoy: update_empty).
func (s *Session) missing(o *slot) string {
	for _, ref := range o.want.Refs {
		if ref.Late {
			continue
		}
		if ref.Name == "*" {
			if w := s.missingAll(ref); w != "" && (o.live == nil || !slices.Contains(o.live.Refs, ref)) {
				return w
			}
			continue
		}
		r := s.lookup(ref)
		if (r == nil || r.want == nil) && o.restored && s.vain(ref) {
			continue
		}
		if r == nil {
			if o.live == nil || !slices.Contains(o.live.Refs, ref) {
				return refWord(ref)
			}
			continue
		}
		here := r.want
		if ref.TypeURL == RouteType || ref.TypeURL == ExtensionType {
			here = r.next
		}
		if here != nil || r.gone && ref.TypeURL == EndpointType || (o.live != nil && slices.Contains(o.live.Refs, ref)) {
			continue
		}
		switch {
		case r.waits != "":
			return refWord(ref) + ", which waits for " + r.waits
		case r.gone:
			return refWord(ref) + ", which does not exist"
		}
		return refWord(ref)
	}
	return ""
}

// warmingCluster names a cluster that r mentions and that is not there yet.
func (s *Session) warmingCluster(r *config.Resource, absent *nameSet) string {
	n := absent.first(r)
	if n == "" {
		return ""
	}
	return quote("cluster", n) + ", which waits for " + s.cluster(n).waits
}

// cluster finds the slot of a cluster: the aggregated one goes before those that are asked for elsewhere.
func (s *Session) cluster(name string) *slot {
	for _, t := range s.ofKind(cds) {
		if o := t.slots[name]; o != nil && (o.want != nil || o.live != nil) {
			return o
		}
	}
	return &slot{name: name}
}

func (s *Session) lookup(ref extension.Ref) *slot {
	if t := s.typeFor(ref); t != nil {
		return t.slots[ref.Name]
	}
	return nil
}

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

// deadline says when a waiting slot stops to wait; zero is never. What is fetched is waited for no longer than the longest
// initial_fetch_timeout of what is missing.
func (s *Session) deadline(t *typeState, o *slot) time.Time {
	if t.k == rtds {
		return s.rootDeadline(t, o)
	}
	if o.waits == "" || o.expired {
		return time.Time{}
	}
	d := s.o.WarmingDeadline
	if f := s.patience(o); f > 0 && (d == 0 || f < d) {
		d = f
	}
	if d == 0 {
		return time.Time{}
	}
	return o.since.Add(d)
}

// patience is the longest initial_fetch_timeout of what a new version refers to and does not find; 0 is for ever, or that it finds all.
func (s *Session) patience(o *slot) (d time.Duration) {
	if o.want == nil {
		return 0
	}
	for _, ref := range o.want.Refs {
		t := s.typeFor(ref)
		if t == nil || t.source < 0 {
			continue
		}
		if r := t.slots[ref.Name]; r != nil && r.want != nil {
			continue
		}
		f := t.fetch
		if own := ref.Source.FetchTimeout; own != 0 {
			f = max(own, 0)
		}
		if f == 0 {
			return 0
		}
		d = max(d, f)
	}
	return d
}

// arm keeps the warming timer at the earliest deadline.
func (s *Session) arm() {
	var first time.Time
	for _, t := range s.types {
		for o := range t.work() {
			if d := s.deadline(t, o); !d.IsZero() && (first.IsZero() || d.Before(first)) {
				first = d
			}
		}
	}
	switch {
	case first.Equal(s.warmAt):
	case first.IsZero():
		s.do(StopTimer{warmingTimer})
	default:
		s.do(StartTimer{warmingTimer, max(first.Sub(s.now), 0)})
	}
	s.warmAt = first
}

// expire ends the waits whose deadline has come, and says what each waited for.
func (s *Session) expire() {
	s.warmAt = time.Time{}
	for _, t := range s.types {
		var late []*slot
		for o := range t.work() {
			if d := s.deadline(t, o); !d.IsZero() && !d.After(s.now) {
				late = append(late, o)
			}
		}
		slices.SortFunc(late, func(a, b *slot) int { return cmp.Compare(a.name, b.name) })
		for _, o := range late {
			if t.k == rtds {
				s.giveUp(t, o)
				continue
			}
			o.expired = true
			after := s.now.Sub(o.since).Round(time.Millisecond)
			if o.want == nil {
				s.log(Warn, "%s is removed after %v: was held: %s", quote(t.noun, o.name), after, o.waits)
				continue
			}
			s.countFetch(o)
			s.log(Warn, "%s goes in after %v without %s", quote(t.noun, o.name), after, o.waits)
		}
	}
	s.settle()
}

// countFetch counts the names that a late resource refers to and that never came.
func (s *Session) countFetch(o *slot) {
	for _, ref := range o.want.Refs {
		if t := s.typeFor(ref); t != nil {
			if r := t.slots[ref.Name]; r == nil || r.want == nil {
				t.counters.FetchTimeout++
				if r != nil {
					r.count(Counters{FetchTimeout: 1})
				}
			}
		}
	}
}
