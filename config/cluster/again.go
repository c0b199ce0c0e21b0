package cluster

import (
	"bytes"

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
	before, after := core.TakeApart(was, localitiesField), core.TakeApart(is, localitiesField)
	if !before.OK || !after.OK || len(before.Items) != len(old.Localities) || !bytes.Equal(before.Rest, after.Rest) {
		return nil, false
	}
	p := &endpointv3.ClusterLoadAssignment{}
	if proto.Unmarshal(after.Rest, p) != nil {
		return nil, false
	}
	pairs := core.Align(before.Items, after.Items)
	plans := make([]localityPlan, len(pairs))
	for i, pair := range pairs {
		if pair.Old >= 0 {
			plans[i].old = &old.Localities[pair.Old]
		}
		if pair.Same {
			continue
		}
		if !plans[i].read(pair.Of(before.Items), after.Items[i]) {
			return nil, false
		}
		p.Endpoints = append(p.Endpoints, plans[i].new)
	}
	if !check(p) {
		return nil, false
	}
	var l fielderr.List
	var w weights
	p.Endpoints = nil // they are in the plans
	a = decodeAssignment(&l, "", p, false)
	a.Localities = make([]Locality, 0, len(plans))
	for i := range plans {
		a.Localities = append(a.Localities, plans[i].decode(&l))
		if a.Localities[i].Priority > maxPriority {
			return nil, false
		}
		w.add(&l, "", &a.Localities[i])
	}
	return a, l.Len() == 0
}

// localityPlan says what becomes of a locality: old as it is when new is nil; else new decoded, which has of its endpoints only those
// that kept has no place for.
type localityPlan struct {
	old  *Locality
	new  *endpointv3.LocalityLbEndpoints
	kept []int // by place: where the endpoint is in old; -1 is decoded. A nil slice: all are
}

// read finds out which endpoints of a changed locality changed.
func (p *localityPlan) read(was, is []byte) bool {
	p.new = &endpointv3.LocalityLbEndpoints{}
	before, after := core.TakeApart(was, endpointsField), core.TakeApart(is, endpointsField)
	if p.old == nil || !before.OK || !after.OK || len(before.Items) != len(p.old.Endpoints) || !bytes.Equal(before.Rest, after.Rest) {
		return proto.Unmarshal(is, p.new) == nil
	}
	if proto.Unmarshal(after.Rest, p.new) != nil {
		return false
	}
	p.kept = make([]int, len(after.Items))
	for i, pair := range core.Align(before.Items, after.Items) {
		if p.kept[i] = pair.Old; pair.Same {
			continue
		}
		p.kept[i] = -1
		e := &endpointv3.LbEndpoint{}
		if proto.Unmarshal(after.Items[i], e) != nil {
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
	if p.kept == nil {
		return d
	}
	fresh := d.Endpoints
	d.Endpoints = nil
	if len(p.kept) > 0 {
		d.Endpoints = make([]Endpoint, len(p.kept))
	}
	for i, at := range p.kept {
		if at >= 0 {
			d.Endpoints[i] = p.old.Endpoints[at]
			continue
		}
		d.Endpoints[i], fresh = fresh[0], fresh[1:]
	}
	weighEndpoints(l, "", d.Endpoints)
	return d
}
