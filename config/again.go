package config

import (
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// Again decodes a dynamic resource of which another version is here, and gives what Decode gives. Of the large types, route
// configurations and assignments, parts whose bytes did not change are taken over from that version, unread: one changed route of
// 10,000 costs what one costs. was may be nil.
func (d *Decoder) Again(typeURL string, a *anypb.Any, was *Resource) (*Resource, error) {
	if r := d.again(typeURL, a, was); r != nil {
		return r, nil
	}
	return d.Decode(typeURL, a, false)
}

// large is the size in bytes below which looking for what changed is not worth while.
const large = 4 << 10

// again gives nil when the whole has to be decoded: also whenever there is a mistake or a remark, so that all are told with their
// places.
func (d *Decoder) again(typeURL string, a *anypb.Any, was *Resource) (r *Resource) {
	if was == nil || was.Raw == nil || len(was.Raw.GetValue()) < large || a == nil || len(was.Degraded) > 0 || len(was.Refs) > 0 ||
		messageName(a) != messageName(was.Raw) || messageName(a) != messageName(&anypb.Any{TypeUrl: typeURL}) {
		return nil
	}
	defer func() {
		if recover() != nil {
			r = nil // Decode says where
		}
	}()
	flawless := func(m proto.Message) bool {
		e := &Error{Name: was.Name}
		return len(d.check(e, m)) == 0 && len(e.Errs) == 0
	}
	switch v := was.Value.(type) {
	case *route.Table:
		ctx := extension.NewContext(d.Registry, was.Name)
		t, ok := route.Again(v, was.Raw.GetValue(), a.GetValue(), ctx, func(m *routev3.RouteConfiguration) bool { return m.Name == was.Name && flawless(m) })
		if ok && d.secrets(ctx.Refs()) == nil {
			return &Resource{Name: was.Name, Value: t, Refs: ctx.Refs(), Raw: a}
		}
	case *cluster.Assignment:
		n, ok := cluster.AssignmentAgain(v, was.Raw.GetValue(), a.GetValue(), func(m *endpointv3.ClusterLoadAssignment) bool { return m.ClusterName == was.Name && flawless(m) })
		if ok {
			return &Resource{Name: was.Name, Value: n, Raw: a}
		}
	}
	return nil
}
