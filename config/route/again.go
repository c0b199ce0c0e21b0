package route

import (
	"bytes"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/turn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Again decodes a RouteConfiguration of which another version is here: virtual hosts and routes whose bytes are the same are taken
// over, so that the cost is that of what changed. The table is the one that Decode would make.
//
// check holds a message to everything that is asked of it beside Decode; it is given what changed, with all that encloses it. When
// that is not flawless, or the version before had remarks, ok is false and the whole has to be decoded, which knows the places of all
// mistakes. references of the parts, which ctx takes, are those of what was decoded only.
func Again(old *Table, was, is []byte, ctx *extension.Context, check func(*routev3.RouteConfiguration) bool) (t *Table, ok bool) {
	before, after := core.TakeApart(was, hostsField), core.TakeApart(is, hostsField)
	if len(old.Lints) > 0 || !before.OK || !after.OK || len(before.Items) != len(old.VirtualHosts) || !bytes.Equal(before.Rest, after.Rest) {
		return nil, false
	}
	a := &again{rc: &routev3.RouteConfiguration{}}
	if proto.Unmarshal(after.Rest, a.rc) != nil {
		return nil, false
	}
	pairs := core.Align(before.Items, after.Items)
	hosts := make([]hostPlan, len(pairs))
	for i, p := range pairs {
		if p.Old >= 0 {
			hosts[i].old = old.VirtualHosts[p.Old]
		}
		if p.Same {
			continue
		}
		if !a.plan(&hosts[i], p.Of(before.Items), after.Items[i]) {
			return nil, false
		}
	}
	if !check(a.rc) {
		return nil, false
	}
	return a.build(hosts, ctx)
}

// Numbers of fields: RouteConfiguration.virtual_hosts, VirtualHost.routes, Route.match.
const (
	hostsField  protowire.Number = 2
	routesField protowire.Number = 3
	matchField  protowire.Number = 1
)

// again is the making of a table out of another.
type again struct {
	rc *routev3.RouteConfiguration // what is to be decoded, with what encloses it
}

// hostPlan says what becomes of a virtual host: old as it is when new is nil; else new decoded, which has of its routes only those
// that routes has no old one for.
type hostPlan struct {
	old    *VirtualHost // nil: there is none
	new    *routev3.VirtualHost
	routes []*Route // by place; nil is decoded. A nil slice: all are
	paths  bool     // no path criterion changed its place or itself
}

// plan finds out which routes of a changed virtual host changed.
func (a *again) plan(p *hostPlan, was, is []byte) bool {
	p.new = &routev3.VirtualHost{}
	a.rc.VirtualHosts = append(a.rc.VirtualHosts, p.new)
	if p.old != nil {
		before, after := core.TakeApart(was, routesField), core.TakeApart(is, routesField)
		if before.OK && after.OK && len(before.Items) == len(p.old.Routes) && bytes.Equal(before.Rest, after.Rest) {
			return p.some(before, after)
		}
	}
	p.old = nil
	return proto.Unmarshal(is, p.new) == nil
}

// some reads the routes that changed; the host itself did not.
func (p *hostPlan) some(before, after core.Parts) bool {
	if proto.Unmarshal(after.Rest, p.new) != nil {
		return false
	}
	pairs := core.Align(before.Items, after.Items)
	var now turn.Turn
	p.routes, p.paths = make([]*Route, len(pairs)), len(pairs) == len(before.Items)
	for i, pair := range pairs {
		now.Pass()
		if pair.Same {
			if p.routes[i] = p.old.Routes[pair.Old].at(i); p.routes[i] != nil {
				p.paths = p.paths && pair.Old == i
				continue
			}
		}
		p.paths = p.paths && pair.Old == i && core.SameField(before.Items[i], after.Items[i], matchField)
		r := &routev3.Route{}
		if proto.Unmarshal(after.Items[i], r) != nil {
			return false
		}
		p.new.Routes = append(p.new.Routes, r)
	}
	return true
}

// build decodes what is new.
func (a *again) build(hosts []hostPlan, ctx *extension.Context) (*Table, bool) {
	d := &decoder{ctx: ctx, t: &Table{}, maxBody: maxDirectBody}
	var errs fielderr.List
	d.settings(&errs, a.rc)
	d.t.VirtualHosts = make([]*VirtualHost, 0, len(hosts))
	d.t.exact = make(map[string]*VirtualHost, len(hosts))
	for i := range hosts {
		p := &hosts[i]
		switch {
		case p.new == nil:
			if d.vhost = p.old.at(i); d.vhost == nil {
				return nil, false
			}
			d.enter()
			for k, dom := range d.vhost.Domains {
				errs.Add("", d.t.addDomain(dom, d.vhost))
				d.lintDomain(k, dom)
			}
		case p.routes == nil:
			d.vhost = newVirtualHost(p.new, i)
			d.enter()
			errs.Add("", d.virtualHost(p.new))
		default:
			d.changed(&errs, p, i)
		}
		if errs.Len() > 0 {
			return nil, false
		}
	}
	return d.t, true
}

// changed makes a virtual host of which some routes are new.
func (d *decoder) changed(errs *fielderr.List, p *hostPlan, at int) {
	vh := newVirtualHost(p.new, at)
	d.vhost = vh
	d.enter()
	d.hostSettings(errs, p.new)
	if p.old.Index == at {
		vh.HostSettings, vh.toTLS = p.old.HostSettings, p.old.toTLS
	}
	vh.Routes = p.routes
	fresh := p.new.Routes
	for i, rt := range vh.Routes {
		d.turn.Pass()
		if rt != nil {
			if rt.VirtualHost != vh.HostSettings {
				vh.Routes[i] = rt.in(vh.HostSettings)
			}
			continue
		}
		rt, err := d.route(fresh[0], i)
		errs.Add("", err)
		vh.Routes[i], fresh = rt, fresh[1:]
	}
	if errs.Len() > 0 {
		return
	}
	if p.paths {
		vh.index = p.old.index // no remark on what is never reached is new either
		return
	}
	vh.index = newIndex(vh.Routes)
	d.lintUnreachable()
}

// at gives a virtual host as it is at a place of the table; nil when it has to be decoded for that.
func (vh *VirtualHost) at(i int) *VirtualHost {
	if vh.Index == i {
		return vh
	}
	head := *vh.HostSettings
	head.Index = i
	out := &VirtualHost{HostSettings: &head, Routes: make([]*Route, len(vh.Routes)), index: vh.index, toTLS: vh.toTLS.in(&head)}
	for k, rt := range vh.Routes {
		out.Routes[k] = rt.in(&head)
	}
	return out
}

// at gives a route as it is at a place of its virtual host; nil when it has to be decoded for that: the key of runtime_fraction has
// the place in it.
func (rt *Route) at(i int) *Route {
	switch {
	case rt.Index == i:
		return rt
	case rt.criteria.fraction != nil:
		return nil
	}
	out := rt.in(rt.VirtualHost)
	out.Index = i
	return out
}

// in gives a copy of a route that belongs to another version of its virtual host. It holds nothing of the old one.
func (rt *Route) in(h *HostSettings) *Route {
	out := *rt
	out.VirtualHost = h
	if r := rt.Redirect; r != nil && r.criteria != nil {
		own := *r
		own.criteria = &out.criteria
		out.Redirect = &own
	}
	return &out
}
