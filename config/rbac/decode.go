package rbac

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
)

// decoder compiles one policy and collects what is wrong with it.
type decoder struct {
	scope Scope
	errs  fielderr.List
}

func (d *decoder) policy(p *rbacv3.Policy) policy {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"condition", p.GetCondition() != nil},
		{"checked_condition", p.GetCheckedCondition() != nil},
		{"cel_config", p.GetCelConfig() != nil},
	} {
		if f.set {
			d.errs.Addf(f.name, "unsupported: expressions are not evaluated")
		}
	}
	return policy{
		permissions: d.permissions("permissions", p.GetPermissions()),
		principals:  d.principals("principals", p.GetPrincipals()),
	}
}

func (d *decoder) permissions(path string, l []*rbacv3.Permission) []rule {
	if len(l) == 0 {
		d.errs.Addf(path, "empty")
	}
	out := make([]rule, 0, len(l))
	for i, p := range l {
		out = append(out, d.permission(fielderr.Index(path, i), p))
	}
	return out
}

func (d *decoder) principals(path string, l []*rbacv3.Principal) []rule {
	if len(l) == 0 {
		d.errs.Addf(path, "empty")
	}
	out := make([]rule, 0, len(l))
	for i, p := range l {
		out = append(out, d.principal(fielderr.Index(path, i), p))
	}
	return out
}

func (d *decoder) permission(path string, p *rbacv3.Permission) rule {
	at := func(field string) string { return fielderr.Join(path, field) }
	switch v := p.GetRule().(type) {
	case *rbacv3.Permission_AndRules:
		return rule{op: opAll, sub: d.permissions(at("and_rules.rules"), v.AndRules.GetRules())}
	case *rbacv3.Permission_OrRules:
		return rule{op: opOne, sub: d.permissions(at("or_rules.rules"), v.OrRules.GetRules())}
	case *rbacv3.Permission_NotRule:
		return rule{op: opNot, sub: []rule{d.permission(at("not_rule"), v.NotRule)}}
	case *rbacv3.Permission_Any:
		return d.any(at("any"), v.Any)
	case *rbacv3.Permission_Header:
		return d.header(at("header"), v.Header)
	case *rbacv3.Permission_UrlPath:
		return d.path(at("url_path"), v.UrlPath)
	case *rbacv3.Permission_DestinationIp:
		return d.nets(opDest, at("destination_ip"), v.DestinationIp)
	case *rbacv3.Permission_DestinationPort:
		if v.DestinationPort > 65535 {
			d.errs.Addf(at("destination_port"), "%d is not a port", v.DestinationPort)
		}
		return rule{op: opDestPort, from: v.DestinationPort, to: v.DestinationPort + 1}
	case *rbacv3.Permission_DestinationPortRange:
		return d.ports(at("destination_port_range"), v.DestinationPortRange)
	case *rbacv3.Permission_RequestedServerName:
		return d.text(opServerName, at("requested_server_name"), v.RequestedServerName)
	case nil:
		d.errs.Addf(path, "unset")
	default:
		d.unsupported(path, p)
	}
	return rule{}
}

func (d *decoder) principal(path string, p *rbacv3.Principal) rule {
	at := func(field string) string { return fielderr.Join(path, field) }
	switch v := p.GetIdentifier().(type) {
	case *rbacv3.Principal_AndIds:
		return rule{op: opAll, sub: d.principals(at("and_ids.ids"), v.AndIds.GetIds())}
	case *rbacv3.Principal_OrIds:
		return rule{op: opOne, sub: d.principals(at("or_ids.ids"), v.OrIds.GetIds())}
	case *rbacv3.Principal_NotId:
		return rule{op: opNot, sub: []rule{d.principal(at("not_id"), v.NotId)}}
	case *rbacv3.Principal_Any:
		return d.any(at("any"), v.Any)
	case *rbacv3.Principal_Authenticated_:
		if v.Authenticated.GetPrincipalName() == nil {
			return rule{op: opAuthenticated, anyName: true}
		}
		return d.text(opAuthenticated, at("authenticated.principal_name"), v.Authenticated.GetPrincipalName())
	case *rbacv3.Principal_SourceIp:
		return d.nets(opSource, at("source_ip"), v.SourceIp)
	case *rbacv3.Principal_DirectRemoteIp:
		return d.nets(opDirectSource, at("direct_remote_ip"), v.DirectRemoteIp)
	case *rbacv3.Principal_RemoteIp:
		return d.nets(opClient, at("remote_ip"), v.RemoteIp)
	case *rbacv3.Principal_Header:
		return d.header(at("header"), v.Header)
	case *rbacv3.Principal_UrlPath:
		return d.path(at("url_path"), v.UrlPath)
	case nil:
		d.errs.Addf(path, "unset")
	default:
		d.unsupported(path, p)
	}
	return rule{}
}

func (d *decoder) any(path string, v bool) rule {
	if !v {
		d.errs.Addf(path, "must be true")
	}
	return rule{op: opAny}
}

func (d *decoder) header(path string, m *routev3.HeaderMatcher) rule {
	h, err := match.NewHeader(m)
	d.errs.Add(path, err)
	d.requestOnly(path)
	return rule{op: opHeader, header: h}
}

func (d *decoder) path(path string, m *matcherv3.PathMatcher) rule {
	d.requestOnly(path)
	return d.text(opPath, fielderr.Join(path, "path"), m.GetPath())
}

// requestOnly refuses what looks at a request when there will be none (Envoy refuses
// header, and never matches url_path).
func (d *decoder) requestOnly(path string) {
	if d.scope == Connections {
		d.errs.Addf(path, "a connection has no request to look at (supported in envoy.filters.http.rbac)")
	}
}

func (d *decoder) text(o op, path string, m *matcherv3.StringMatcher) rule {
	s, err := match.NewString(m)
	d.errs.Add(path, err)
	return rule{op: o, text: s}
}

func (d *decoder) nets(o op, path string, c *corev3.CidrRange) rule {
	p, err := match.NewPrefix(c)
	d.errs.Add(path, err)
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return rule{op: o, nets: p}
}

func (d *decoder) ports(path string, r *typev3.Int32Range) rule {
	from, to := r.GetStart(), r.GetEnd()
	switch {
	case from < 0 || from > 65536:
		d.errs.Addf(fielderr.Join(path, "start"), "%d is out of bounds", from)
	case to < 0 || to > 65536:
		d.errs.Addf(fielderr.Join(path, "end"), "%d is out of bounds", to)
	case from >= to:
		d.errs.Addf(path, "[%d, %d) is empty", from, to)
	default:
		return rule{op: opDestPort, from: uint32(from), to: uint32(to)}
	}
	return rule{}
}

// unsupported refuses a choice of a oneof by its name.
func (d *decoder) unsupported(path string, m proto.Message) {
	r := m.ProtoReflect()
	name := ""
	if o := r.Descriptor().Oneofs(); o.Len() > 0 {
		if f := r.WhichOneof(o.Get(0)); f != nil {
			name = string(f.Name())
		}
	}
	d.errs.Addf(fielderr.Join(path, name), "unsupported")
}
