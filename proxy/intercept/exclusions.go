package intercept

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// exclusions are the sets that say what a plan takes and leaves alone; nil means none.
type exclusions struct {
	never4, never6         *set
	include4, include6     *set
	ports, excludePorts    *set
	endpoints4, endpoints6 *set
	ownPorts               *set
	restrictIncludes       bool
}

// exclusions makes the sets of the plan.
func (pr *program) exclusions(p Plan) exclusions {
	var x exclusions
	never := append(neverTaken(), p.ExcludeCIDRs...)
	x.never4 = pr.cidrSet("exclude4", never, false)
	x.never6 = pr.cidrSet("exclude6", never, true)
	if len(p.IncludeCIDRs) > 0 {
		x.restrictIncludes = true
		x.include4 = pr.cidrSet("include4", p.IncludeCIDRs, false)
		x.include6 = pr.cidrSet("include6", p.IncludeCIDRs, true)
	}
	x.ports = pr.portSet("ports", p.Ports)
	x.excludePorts = pr.portSet("exclude_ports", excludedPorts(p))
	x.endpoints4 = pr.endpointSet("exclude_endpoints4", endpoints(p, false))
	x.endpoints6 = pr.endpointSet("exclude_endpoints6", endpoints(p, true))
	if p.IncludeLocal {
		x.ownPorts = pr.portSet("own_ports", ownPorts(p))
	}
	return x
}

// excludedPorts are the ports that the plan leaves alone.
func excludedPorts(p Plan) []PortRange {
	var out []PortRange
	if !p.SSH {
		out = append(out, Port(sshPort))
	}
	if !p.DNS {
		out = append(out, Port(dnsPort))
	}
	return append(out, p.ExcludePorts...)
}

// ownPorts are those of this machine's listeners that no plan takes.
func ownPorts(p Plan) []PortRange {
	own := []PortRange{Port(p.ListenPort)}
	for _, a := range p.ExcludeAddrPorts {
		if a.Addr().IsUnspecified() {
			own = append(own, Port(a.Port()))
		}
	}
	return own
}

// endpoints are the addresses with ports of one family that the plan leaves
// alone, sorted, each once.
func endpoints(p Plan, v6 bool) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range p.ExcludeAddrPorts {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if !a.Addr().IsUnspecified() && a.Addr().Is6() == v6 {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out)
}

// apply adds the rules that let unwanted first packets go.
func (x exclusions) apply(c *chain, p Plan) {
	if p.IncludeLocal {
		c.add("own listeners", matchDestType("local"), matchDport(x.ownPorts, false), leave())
	} else {
		c.add("this machine", matchDestType("local"), leave())
	}
	c.add("broadcast", matchDestType("broadcast"), leave())
	x.addresses(c, unix.IPPROTO_TCP)
	if x.excludePorts != nil {
		c.add("excluded port", matchDport(x.excludePorts, false), count(), leave())
	}
	if x.ports != nil {
		c.add("other port", matchDport(x.ports, true), count(), leave())
	}
}

// addresses adds the rules about destinations, with ports of that protocol.
func (x exclusions) addresses(c *chain, proto byte) {
	for _, s := range []*set{x.never4, x.never6} {
		c.add("excluded", matchDaddr(s, false), count(), leave())
	}
	for _, s := range []*set{x.endpoints4, x.endpoints6} {
		if s != nil {
			c.add("excluded", matchEndpoint(s, proto), count(), leave())
		}
	}
	if x.restrictIncludes {
		for i, s := range []*set{x.include4, x.include6} {
			if s != nil {
				c.add("not included", matchDaddr(s, true), count(), leave())
			} else {
				c.add("not included", matchFamily(i == 1), count(), leave())
			}
		}
	}
}
