package survey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
)

// A Packet is the first packet of a TCP connection, as far as it is known.
type Packet struct {
	V6   bool
	Mark uint32
	// Iif and Oif are the interfaces; "" is one that is not known.
	Iif, Oif string
	// Port is the destination port; 0 is one that is not known.
	Port uint16
}

// What becomes of a packet.
const (
	Passes   = "passes"
	Dropped  = "dropped"    // or rejected
	Redirect = "redirected" // its destination is rewritten
	Stolen   = "taken"      // given to another transparent proxy
)

// A Fate is what chains do with a packet.
type Fate struct {
	What string
	// Certain says that no rule before could have let it pass whose condition is not
	// known here.
	Certain bool
	// Chain and Handle are the rule that decided; handle 0 is the chain's policy.
	Chain  *Chain
	Handle uint64
	// Mark is the packet's mark afterwards, if Marked.
	Mark   uint32
	Marked bool
}

// Where names the rule that decided.
func (f *Fate) Where() string {
	if f.Chain == nil {
		return ""
	}
	if f.Handle == 0 {
		return fmt.Sprintf("the policy of chain %s (hook %s, priority %d)", f.Chain, f.Chain.Hook, f.Chain.Priority)
	}
	return fmt.Sprintf("the rule with handle %d of chain %s", f.Handle, f.Chain)
}

// A Part of a hook is told by where our own rules are.
type Part uint8

// The parts.
const (
	Whole  Part = iota
	Before      // what comes before our rules
	After       // what comes after them
)

// Fates walks the base chains of other programs at a hook, or those of them that
// come before or after ours at priority ours, and tells of each that does not
// simply let the packet pass, or changes its mark. Of a chain that jumps to ours
// (the iptables backend) the rules before or after that jump are walked.
func (rs *Ruleset) Fates(hook string, part Part, ours int, p Packet) (out []BaseFate) {
	var base []*Chain
	for i := range rs.Chains {
		if c := &rs.Chains[i]; c.Hook == hook && !c.Ours() && c.sees(p) && rs.within(c, part, ours) {
			base = append(base, c)
		}
	}
	slices.SortStableFunc(base, func(a, b *Chain) int { return a.Priority - b.Priority })
	for _, c := range base {
		w := &walk{rs: rs, p: p, mark: p.Mark, marked: true, part: part}
		f := w.base(c)
		if f.What != Passes || f.Marked && f.Mark != p.Mark {
			out = append(out, BaseFate{c, f})
		}
	}
	return out
}

// within tells whether a base chain, or part of it, is in a part of its hook.
func (rs *Ruleset) within(c *Chain, part Part, ours int) bool {
	if part == Whole || c.leads() >= 0 {
		return true
	}
	if part == Before {
		return c.Priority <= ours
	}
	return c.Priority > ours
}

// leads gives the rule that jumps to our chains, -1 without one.
func (c *Chain) leads() int {
	return slices.IndexFunc(c.rules, func(r rule) bool {
		return slices.ContainsFunc(r.exprs, func(e expr.Any) bool {
			v, ok := e.(*expr.Verdict)
			return ok && strings.HasPrefix(v.Chain, tablePrefix)
		})
	})
}

// A BaseFate is what one base chain does.
type BaseFate struct {
	Base *Chain
	Fate
}

func (c *Chain) sees(p Packet) bool {
	switch c.Family {
	case "ip":
		return !p.V6
	case "ip6":
		return p.V6
	}
	return true
}

// walk is a way through a base chain and those it jumps to.
type walk struct {
	rs     *Ruleset
	p      Packet
	mark   uint32
	marked bool // mark is known
	open   bool // a rule that may or may not match could have ended the way
	steps  int
	part   Part
}

// The limits of a walk: nftables' own depth, and enough rules for any rule set
// that is read.
const (
	maxDepth = 16
	maxSteps = 2 * maxRules
)

// base walks a base chain.
func (w *walk) base(c *Chain) Fate {
	end := w.chain(c, 0)
	if end == nil {
		end = &Fate{What: Passes}
		if c.Drop && (w.part != Before || c.leads() < 0) {
			end.What, end.Chain = Dropped, c
		}
	}
	end.Certain = !w.open
	end.Mark, end.Marked = w.mark, w.marked
	return *end
}

// chain walks a chain; nil is that its end was reached, or a return.
func (w *walk) chain(c *Chain, depth int) *Fate {
	if depth > maxDepth {
		w.open = true
		return nil
	}
	from, to := 0, len(c.rules)
	if i := c.leads(); i >= 0 && depth == 0 {
		switch w.part {
		case Before:
			to = i
		case After:
			from = i + 1
		}
	}
	for i := from; i < to; i++ {
		if w.steps++; w.steps > maxSteps {
			w.open = true
			return nil
		}
		m, v := w.rule(c, &c.rules[i])
		if m == no {
			continue
		}
		switch v.what {
		case "", "continue":
			if v.setsMark {
				w.mark, w.marked = v.mark, v.markKnown && m == yes
			}
		case "jump", "goto":
			to := w.rs.find(c, v.chain)
			if to == nil || to.Ours() {
				w.open = w.open || to == nil
				continue
			}
			if m == maybe {
				w.open = true // what it does is not followed: it may end the way or not
				continue
			}
			if end := w.chain(to, depth+1); end != nil {
				return end
			}
			if v.what == "goto" {
				return nil
			}
		case "return":
			if m == yes {
				return nil
			}
			w.open = true
		case "accept", "unknown":
			if m == yes && v.what == "accept" {
				return &Fate{What: Passes}
			}
			w.open = true
		default: // Dropped, Redirect, Stolen
			w.open = w.open || v.what == Stolen // only while something listens there
			if m == yes {
				return &Fate{What: v.what, Chain: c, Handle: c.rules[i].handle}
			}
			w.open = true
		}
	}
	return nil
}

func (rs *Ruleset) find(from *Chain, name string) *Chain {
	for i := range rs.Chains {
		if c := &rs.Chains[i]; c.Family == from.Family && c.Table == from.Table && c.Name == name {
			return c
		}
	}
	return nil
}
