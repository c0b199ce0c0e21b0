package intercept

import (
	"slices"
	"strings"
)

// compare implements firewall: chains, rules and jumps, as nftWall's does.
func (w *iptWall) compare(v *verifier) error {
	for _, v6 := range []bool{false, true} {
		if !v.p.takes(v6) {
			continue
		}
		all, err := w.observed(v6)
		if err != nil {
			return err
		}
		want := compileIPTables(v.p, v6)
		v.foreignIPTables(w.tool.program(v6, "save"), want, all)
		for _, t := range want {
			v.compareIPTables(w.tool.program(v6, "save"), t, all)
		}
	}
	return nil
}

// foreignIPTables looks for chains of the plan in tables that it does not use.
func (v *verifier) foreignIPTables(tool string, want, all []*iptTable) {
	for _, t := range ours(all, v.p.Name) {
		if !slices.ContainsFunc(want, func(w *iptTable) bool { return w.name == t.name }) {
			v.add("chain-foreign", Problem, fixReapply, "%s: table %s has chains of %q, whose plan is in %s", tool, t.name, v.p.Name, want[0].name)
		}
	}
}

// compareIPTables compares a planned table with what tool prints.
func (v *verifier) compareIPTables(tool string, want *iptTable, all []*iptTable) {
	var got *iptTable
	for _, t := range ours(all, v.p.Name) {
		if t.name == want.name {
			got = t
		}
	}
	if got == nil {
		v.add("table-missing", Problem, fixReapply, "%s: there are no chains %s* in table %s: nothing is intercepted", tool, iptName(v.p.Name, ""), want.name)
		return
	}
	for _, c := range want.chains {
		i := slices.IndexFunc(got.chains, func(g *iptChain) bool { return g.name == c.name })
		if i < 0 {
			v.add("chain-missing", Problem, fixReapply, "%s: chain %s is missing", tool, c.name)
			continue
		}
		v.iptRules(tool, c, got.chains[i].rules)
	}
	for _, g := range got.chains {
		if !slices.ContainsFunc(want.chains, func(c *iptChain) bool { return g.name == c.name }) {
			v.add("chain-foreign", Problem, fixReapply, "%s: chain %s is not of this plan", tool, g.name)
		}
	}
	i := slices.IndexFunc(all, func(t *iptTable) bool { return t.name == want.name })
	v.iptJumps(tool, want, all[i].jumps)
}

// iptRules compares one chain's rules, in order, and reports the first difference.
func (v *verifier) iptRules(tool string, c *iptChain, got []iptRule) {
	for i, r := range c.rules {
		if i >= len(got) {
			v.add("rule-missing", Problem, fixReapply, "%s: chain %s: rule %d (%s) is missing", tool, c.name, i+1, r)
			return
		}
		if !sameWords(r.words, got[i].words) {
			v.add("rule-drift", Problem, fixReapply, "%s: chain %s: rule %d is %s, want %s", tool, c.name, i+1, got[i], r)
			return
		}
	}
	if len(got) > len(c.rules) {
		v.add("rule-foreign", Problem, fixReapply, "%s: chain %s has %d rules more than the plan", tool, c.name, len(got)-len(c.rules))
	}
}

// iptJumps looks for the rules that lead to our chains: each once, and first.
func (v *verifier) iptJumps(tool string, want *iptTable, all []iptRule) {
	for _, j := range want.jumps {
		var in []iptRule // of the kernel's chain
		for _, r := range all {
			if r.chain == j.chain {
				in = append(in, r)
			}
		}
		at := slices.IndexFunc(in, func(r iptRule) bool { return sameWords(r.words, j.words) })
		switch {
		case at < 0:
			v.add("hook-drift", Problem, fixReapply, "%s: no rule of %s leads to %s: nothing is intercepted there", tool, j.chain, j.target())
		case slices.ContainsFunc(in[:at], func(r iptRule) bool { return !strings.HasPrefix(r.target(), tablePrefix) }):
			v.add("hook-late", Note, fixReapply, "%s: other rules of %s come before the one that leads to %s, and may take its packets", tool, j.chain, j.target())
		}
	}
}
