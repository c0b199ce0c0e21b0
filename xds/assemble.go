package xds

import (
	"slices"

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
