package cluster

import (
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Numbers of fields: ClusterLoadAssignment.endpoints, LocalityLbEndpoints.lb_endpoints.
const (
	localitiesField protowire.Number = 2
	endpointsField  protowire.Number = 2
)

// AssignmentAgain decodes an assignment as EDS brings it of which another version is here: localities and endpoints whose bytes are
// the same are taken over; a locality that did not change has the very same slice of endpoints. check is given what changed, with
// what encloses it; when that is not flawless, ok is false and the whole has to be decoded.
func AssignmentAgain(old *Assignment, was, is []byte, check func(*endpointv3.ClusterLoadAssignment) bool) (a *Assignment, ok bool) {
	c := core.Compare(was, is, localitiesField)
	if !c.OK || !c.SameRest || c.OldItems() != len(old.Localities) {
		return nil, false
	}
	p := &endpointv3.ClusterLoadAssignment{}
	if proto.Unmarshal(c.Rest, p) != nil {
		return nil, false
	}
	pairs := c.Pairs()
	plans := make([]localityPlan, len(pairs))
	for i, pair := range pairs {
		if pair.Old >= 0 {
			plans[i].old = &old.Localities[pair.Old]
		}
		if pair.Same {
			continue
		}
		if !plans[i].read(c.Of(pair), c.Now[i]) {
			return nil, false
		}
		p.Endpoints = append(p.Endpoints, plans[i].new)
	}
	if !check(p) {
		return nil, false
	}
	var l fielderr.List
	p.Endpoints = nil // they are in the plans
	a = decodeAssignment(&l, "", p, false)
	a.Localities = make([]Locality, 0, c.NewItems())
	a.Localities = append(a.Localities, old.Localities[:c.Head]...)
	for i := range plans {
		a.Localities = append(a.Localities, plans[i].decode(&l))
	}
	a.Localities = append(a.Localities, old.Localities[len(old.Localities)-c.Tail:]...)
	var w weights
	for i := range a.Localities {
		if a.Localities[i].Priority > maxPriority {
			return nil, false
		}
		w.add(&l, "", &a.Localities[i])
	}
	return a, l.Len() == 0
}

// localityPlan says what becomes of a locality: old as it is when new is nil; else new decoded, which has of its endpoints only those
// that changes and kept do not have.
type localityPlan struct {
	old     *Locality
	new     *endpointv3.LocalityLbEndpoints
	changes core.Changes // of its endpoints; not OK: all are decoded
	kept    []core.Pair  // of those between head and tail: Same is taken over
}

// read finds out which endpoints of a changed locality changed.
func (p *localityPlan) read(was, is []byte) bool {
	p.new = &endpointv3.LocalityLbEndpoints{}
	if p.old != nil {
		p.changes = core.Compare(was, is, endpointsField)
	}
	if c := &p.changes; !c.OK || !c.SameRest || c.OldItems() != len(p.old.Endpoints) {
		c.OK = false
		return proto.Unmarshal(is, p.new) == nil
	}
	if proto.Unmarshal(p.changes.Rest, p.new) != nil {
		return false
	}
	p.kept = p.changes.Pairs()
	for i, pair := range p.kept {
		if pair.Same {
			continue
		}
		e := &endpointv3.LbEndpoint{}
		if proto.Unmarshal(p.changes.Now[i], e) != nil {
			return false
		}
		p.new.LbEndpoints = append(p.new.LbEndpoints, e)
	}
	return true
}

func (p *localityPlan) decode(l *fielderr.List) Locality {
	if p.new == nil {
		return *p.old
	}
	d := decodeLocality(l, "", p.new, false)
	if !p.changes.OK {
		return d
	}
	fresh, old := d.Endpoints, p.old.Endpoints
	d.Endpoints = nil
	if n := p.changes.NewItems(); n > 0 {
		d.Endpoints = make([]*Endpoint, 0, n)
	}
	d.Endpoints = append(d.Endpoints, old[:p.changes.Head]...)
	for _, pair := range p.kept {
		if pair.Same {
			d.Endpoints = append(d.Endpoints, old[pair.Old])
			continue
		}
		d.Endpoints, fresh = append(d.Endpoints, fresh[0]), fresh[1:]
	}
	d.Endpoints = append(d.Endpoints, old[len(old)-p.changes.Tail:]...)
	weighEndpoints(l, "", d.Endpoints)
	return d
}
