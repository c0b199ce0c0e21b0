package route

import (
	"cmp"
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/extension"
)

// VirtualHostURL is the type of the resources of VHDS.
const VirtualHostURL = "type.googleapis.com/envoy.config.route.v3.VirtualHost"

// A Hosts is a virtual host that was discovered by itself. It becomes part of tables by Table.With. It is immutable.
type Hosts struct{ t *Table }

// DecodeVirtualHost compiles a virtual host that comes by itself.
func DecodeVirtualHost(m *routev3.VirtualHost, ctx *extension.Context) (*Hosts, error) {
	t, err := Decode(&routev3.RouteConfiguration{Name: "vhds", VirtualHosts: []*routev3.VirtualHost{m}}, ctx)
	if err != nil {
		return nil, err
	}
	return &Hosts{t}, nil
}

// Adopt makes of a discovered virtual host what it is as part of the table: with the table's header mutations and filter
// configurations behind its own.
func (t *Table) Adopt(h *Hosts) *VirtualHost {
	from := h.t.VirtualHosts[0]
	vh := &VirtualHost{HostSettings: from.HostSettings, Routes: make([]*Route, len(from.Routes)), index: from.index, toTLS: t.adopt(from.toTLS)}
	for i, r := range from.Routes {
		vh.Routes[i] = t.adopt(r)
	}
	return vh
}

func (t *Table) adopt(r *Route) *Route {
	own := r.in(r.VirtualHost)
	own.specificLast = t.MostSpecificWins
	own.RequestMutations = t.behind(r.RequestMutations, t.request)
	own.ResponseMutations = t.behind(r.ResponseMutations, t.response)
	own.FilterConfigs = override(r.FilterConfigs, t.filters)
	return own
}

// behind adds the table's mutations to those of route and virtual host, in the table's order.
func (t *Table) behind(own []*Mutations, general *Mutations) []*Mutations {
	out := slices.Clone(own)
	if general != nil {
		out = append(out, general)
	}
	if t.MostSpecificWins {
		slices.Reverse(out)
	}
	return out
}

// With gives the table with further virtual hosts. A domain that another virtual host has, one of the table's own or one before, is
// left to that one, and said in clash.
func (t *Table) With(more []*VirtualHost) (out *Table, clash []error) {
	n := *t
	n.VirtualHosts = slices.Clone(t.VirtualHosts)
	n.exact = maps.Clone(t.exact)
	n.suffix, n.prefix = t.suffix.clone(), t.prefix.clone()
	for _, vh := range more {
		n.VirtualHosts = append(n.VirtualHosts, vh)
		for _, d := range vh.Domains {
			if err := n.addDomain(d, vh); err != nil {
				clash = append(clash, err)
			}
		}
	}
	return &n, clash
}

func (w *wildcards) clone() wildcards {
	return wildcards{maps.Clone(w.m), slices.Clone(w.lens)}
}

// SortHosts orders virtual hosts by name, so that the same ones always make the same table.
func SortHosts(l []*VirtualHost) {
	slices.SortFunc(l, func(a, b *VirtualHost) int { return cmp.Compare(a.Name, b.Name) })
}
