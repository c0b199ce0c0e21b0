package intercept

import "net/netip"

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
	excluded := p.ExcludePorts
	if !p.SSH {
		excluded = append([]PortRange{Port(sshPort)}, excluded...)
	}
	x.excludePorts = pr.portSet("exclude_ports", excluded)

	var pairs []netip.AddrPort
	own := []PortRange{Port(p.ListenPort)}
	for _, a := range p.ExcludeAddrPorts {
		if a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()); a.Addr().IsUnspecified() {
			own = append(own, Port(a.Port()))
		} else {
			pairs = append(pairs, a)
		}
	}
	x.endpoints4 = pr.endpointSet("exclude_endpoints4", pairs, false)
	x.endpoints6 = pr.endpointSet("exclude_endpoints6", pairs, true)
	if p.IncludeLocal {
		x.ownPorts = pr.portSet("own_ports", own)
	}
	return x
}

// apply adds the rules that let unwanted first packets go.
func (x exclusions) apply(c *chain, p Plan) {
	if c.name == chainCapture {
		c.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
	}
	if p.IncludeLocal {
		c.add("own listeners", matchDestType("local"), matchDport(x.ownPorts, false), leave())
	} else {
		c.add("this machine", matchDestType("local"), leave())
	}
	c.add("broadcast", matchDestType("broadcast"), leave())
	for _, s := range []*set{x.never4, x.never6} {
		c.add("excluded", matchDaddr(s, false), count(), leave())
	}
	for _, s := range []*set{x.endpoints4, x.endpoints6} {
		if s != nil {
			c.add("excluded", matchEndpoint(s), count(), leave())
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
	if x.excludePorts != nil {
		c.add("excluded port", matchDport(x.excludePorts, false), count(), leave())
	}
	if x.ports != nil {
		c.add("other port", matchDport(x.ports, true), count(), leave())
	}
}
