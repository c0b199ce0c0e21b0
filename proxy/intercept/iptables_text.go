package intercept

import (
	"fmt"
	"slices"
	"strings"
)

// restoreText is what iptables-restore --noflush reads to put the tables want in
// place of was, which is there now: one transaction for each table.
func restoreText(was, want []*iptTable) string {
	at := func(ts []*iptTable, name string) *iptTable {
		if i := slices.IndexFunc(ts, func(t *iptTable) bool { return t.name == name }); i >= 0 {
			return ts[i]
		}
		return &iptTable{}
	}
	var names []string
	for _, t := range slices.Concat(was, want) {
		names = append(names, t.name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range slices.Compact(names) {
		restoreTable(&b, name, at(was, name), at(want, name))
	}
	return b.String()
}

// restoreTable writes the transaction of one table.
func restoreTable(b *strings.Builder, name string, old, next *iptTable) {
	fmt.Fprintf(b, "*%s\n", name)
	for _, c := range next.chains {
		fmt.Fprintf(b, ":%s - [0:0]\n", c.name) // made, or emptied if it is there
	}
	var stale []string
	for _, c := range old.chains {
		if !slices.ContainsFunc(next.chains, func(n *iptChain) bool { return n.name == c.name }) {
			stale = append(stale, c.name)
			fmt.Fprintf(b, ":%s - [0:0]\n", c.name)
		}
	}
	for _, j := range old.jumps {
		fmt.Fprintf(b, "-D %s %s\n", j.chain, j)
	}
	for _, name := range stale {
		fmt.Fprintf(b, "-X %s\n", name)
	}
	for _, c := range next.chains {
		for _, r := range c.rules {
			fmt.Fprintf(b, "-A %s %s\n", c.name, r)
		}
	}
	for _, j := range next.jumps {
		fmt.Fprintf(b, "-I %s 1 %s\n", j.chain, j)
	}
	b.WriteString("COMMIT\n")
}

// renderIPTables prints the plan as the inputs of iptables-restore.
func renderIPTables(p Plan, b *strings.Builder) {
	for _, x := range []struct {
		of  Families
		v6  bool
		cmd string
	}{{IPv4, false, "iptables"}, {IPv6, true, "ip6tables"}} {
		if p.Families&x.of != 0 {
			fmt.Fprintf(b, "# %s-restore --noflush\n%s", strings.Replace(p.Backend.String(), "iptables", x.cmd, 1), restoreText(nil, compileIPTables(p, x.v6)))
		}
	}
}
