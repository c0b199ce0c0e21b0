package intercept

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nftWall is the backend NFT: one table of family inet for each plan.
type nftWall struct{ nf *nfConn }

// list implements firewall.
func (w *nftWall) list() ([]installed, error) {
	tables, err := w.nf.tables()
	if err != nil {
		return nil, err
	}
	var out []installed
	for _, t := range tables {
		out = append(out, installed{
			name: strings.TrimPrefix(t.name, tablePrefix), backend: NFT, comment: t.comment, owner: t.owner,
		})
	}
	return out, nil
}

// replace implements firewall, in one transaction.
func (w *nftWall) replace(p Plan, mode Mode, old bool) error {
	pr := compile(p)
	if err := pr.locate(); err != nil {
		return err
	}
	msgs, err := pr.messages(mode == Resident)
	if err != nil {
		return err
	}
	if old {
		msgs = append([]mdl.Message{deleteTable(pr.table)}, msgs...)
		if f, err := w.leased(p); err == nil && f != 0 && pr.lease != nil {
			msgs = append(msgs, leaseMessages(pr.table, f)...) // who holds it goes on doing so
		}
	}
	closed, err := closedMessages(p.WithDefaults())
	if err != nil {
		return err
	}
	msgs = append(closed, msgs...)
	err = w.nf.commit(msgs)
	if mode == Resident && errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w (is the kernel older than 5.12, which brought tables with an owner?)", err)
	}
	if err != nil {
		return fmt.Errorf("add table inet %s: %w", pr.table, err)
	}
	return nil
}

// remove implements firewall.
func (w *nftWall) remove(name string) error {
	if err := w.nf.commit([]mdl.Message{deleteTable(tablePrefix + name)}); err != nil {
		return fmt.Errorf("delete table inet %s%s: %w", tablePrefix, name, err)
	}
	return nil
}

// counters implements firewall.
func (w *nftWall) counters(name string) ([]RuleStatus, error) {
	rules, err := w.nf.rules(tablePrefix + name)
	var out []RuleStatus
	for _, r := range rules {
		if r.counted {
			out = append(out, RuleStatus{r.chain, r.comment, r.packets, r.bytes})
		}
	}
	return out, err
}

// shared implements firewall: a table is the plan's own.
func (w *nftWall) shared() ([]string, error) { return nil, nil }

// tidy implements firewall.
func (w *nftWall) tidy([]string) error { return nil }

// close implements firewall. The tables that the connection owns go with it.
func (w *nftWall) close() { _ = w.nf.close() }

// compare implements firewall: chains, rules and sets.
func (w *nftWall) compare(v *verifier) error {
	if err := w.compareTable(v, compile(v.p)); err != nil || !v.p.closes() {
		return err
	}
	return w.compareTable(v, compileClosed(v.p))
}

// compareTable compares one table.
func (w *nftWall) compareTable(v *verifier, pr *program) error {
	nf := w.nf
	if err := pr.locate(); err != nil {
		v.add("cgroup-missing", Problem, "apply the plan again when it is there", "%v: rules that name it match nothing", err)
	}
	t, ok, err := nf.table(pr.table)
	if err != nil {
		return err
	}
	if !ok {
		v.add("table-missing", Problem, fixReapply, "there is no table inet %s: nothing is intercepted", pr.table)
		return nil
	}
	if t.flags&unix.NFT_TABLE_F_DORMANT != 0 {
		v.add("table-dormant", Problem, fixReapply, "table inet %s is dormant: nothing is intercepted", pr.table)
	}
	chains, err := nf.chains(pr.table)
	if err != nil {
		return err
	}
	rules, err := nf.rules(pr.table)
	if err != nil {
		return err
	}
	for _, c := range pr.chains {
		h, ok := chains[c.name]
		if !ok {
			v.add("chain-missing", Problem, fixReapply, "chain %s is missing", c.name)
			continue
		}
		delete(chains, c.name)
		if c.hook != nil && (h[0] != uint32(c.hook.num) || int32(h[1]) != c.hook.priority) {
			v.add("hook-drift", Problem, fixReapply, "chain %s has hook %d priority %d, want %d and %d", c.name, h[0], int32(h[1]), c.hook.num, c.hook.priority)
		}
		if err := v.rules(c, rules); err != nil {
			return err
		}
	}
	for name := range chains {
		v.add("chain-foreign", Problem, fixReapply, "chain %s is not ours", name)
	}
	for _, s := range pr.sets {
		if s.kind.dynamic() {
			continue
		}
		got, err := nf.elements(pr.table, s.name)
		if err != nil {
			return err
		}
		want := slices.Clone(s.elems)
		sortElems(want)
		if !slices.EqualFunc(got, want, func(a, b elem) bool { return a.end == b.end && string(a.key) == string(b.key) }) {
			v.add("set-drift", Problem, fixReapply, "set %s has %d elements that are not the plan's %d", s.name, len(got), len(want))
		}
	}
	return nil
}

// rules compares one chain's rules, in order, and reports the first difference.
func (v *verifier) rules(c *chain, all []observedRule) error {
	var got []observedRule
	for _, r := range all {
		if r.chain == c.name {
			got = append(got, r)
		}
	}
	for i, r := range c.rules {
		attrs, err := encodeExprs(r.exprs)
		if err != nil {
			return err
		}
		if i >= len(got) {
			v.add("rule-missing", Problem, fixReapply, "chain %s: rule %d (%s) is missing", c.name, i+1, r.comment)
			return nil
		}
		if got[i].comment != r.comment || !sameExprs(encode(attrs...), got[i].exprs) {
			v.add("rule-drift", Problem, fixReapply, "chain %s: rule %d is not the plan's (%s)", c.name, i+1, r.comment)
			return nil
		}
	}
	if len(got) > len(c.rules) {
		v.add("rule-foreign", Problem, fixReapply, "chain %s has %d rules more than the plan", c.name, len(got)-len(c.rules))
	}
	return nil
}
