package intercept

import "strconv"

// matches are the words that match the programs, one each.
func (g Programs) matches() (out [][]string) {
	for _, r := range g.UIDs {
		out = append(out, words("-m", "owner", "--uid-owner", r.String()))
	}
	for _, r := range g.GIDs {
		out = append(out, words("-m", "owner", "--gid-owner", r.String()))
	}
	for _, path := range g.Cgroups {
		out = append(out, words("-m", "cgroup", "--path", path))
	}
	for _, id := range g.ClassIDs {
		out = append(out, words("-m", "cgroup", "--cgroup", strconv.FormatUint(uint64(id), 10)))
	}
	return out
}

func markMatches(marks []MarkMatch) (out [][]string) {
	for _, m := range marks {
		out = append(out, words("-m", "mark", "--mark", markText(m.Value, m.Mask)))
	}
	return out
}

// narrow lets go what has the wrong mark or, among packets of this machine, comes
// from the wrong program, as that of nftables does. It returns the chain in which
// the others go on.
func (c *iptCompiler) narrow(ch *iptChain, local bool) *iptChain {
	end := ch.name[len(iptName(c.p.Name, "")):]
	for _, m := range markMatches(c.p.ExcludeMarks) {
		c.add(ch, "excluded mark", concat(m, words("-j", "RETURN"))...)
	}
	if local {
		for _, m := range c.p.ExcludePrograms.matches() {
			c.add(ch, "excluded program", concat(m, words("-j", "RETURN"))...)
		}
		ch = c.only(ch, end+"p", "program", c.p.IncludePrograms.matches())
	}
	return c.only(ch, end+"m", "mark", markMatches(c.p.IncludeMarks))
}

// only goes on in a chain of that name when one of the matches holds, and lets go
// what none does; without matches it goes on in ch.
func (c *iptCompiler) only(ch *iptChain, end, what string, matches [][]string) *iptChain {
	if len(matches) == 0 {
		return ch
	}
	for _, m := range matches {
		c.add(ch, "included "+what, concat(m, c.to("-g", end))...)
	}
	c.add(ch, "other "+what, "-j", "RETURN")
	return c.chain(end)
}

// compileRefuse makes the table filter, which refuses QUIC (UDP443).
func compileRefuse(p Plan, v6 bool) *iptTable {
	p = p.WithDefaults()
	c := &iptCompiler{p: p, v6: v6, t: &iptTable{name: "filter"}}
	quic := words("-p", "udp", "-m", "udp", "--dport", strconv.Itoa(quicPort))
	c.jumpWith("FORWARD", iptFwd, quic...)
	var ingress [][]string
	for _, n := range uniqueNames(p.Interfaces) {
		ingress = append(ingress, words("-i", n))
	}
	c.addresses(c.narrow(c.only(c.chain(iptFwd), iptFwd+"i", "interface", ingress), false), "udp", "quic", iptRefus)
	if p.Local {
		c.jumpWith("OUTPUT", iptUDP, quic...)
		out := c.chain(iptUDP)
		c.add(out, "own sockets", "-m", "mark", "--mark", markText(p.OwnMark, p.MarkMask), "-j", "RETURN")
		c.add(out, "this machine", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "RETURN")
		c.addresses(c.narrow(out, true), "udp", "quic", iptRefus)
	}
	refuse := c.chain(iptRefus)
	c.lease(refuse)
	how := "icmp-port-unreachable"
	if v6 {
		how = "icmp6-port-unreachable"
	}
	c.add(refuse, commentRefused, "-j", "REJECT", "--reject-with", how)
	return c.t
}
