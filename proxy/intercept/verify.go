package intercept

import (
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	// Problem: interception does not work as planned.
	Problem Level = "problem"
	// Note: worth knowing; nothing is broken.
	Note Level = "note"
)

// Finding is a difference between the plan and the kernel, or a setting of the
// machine that gets in the way.
type Finding struct {
	// Code is stable: "table-missing", "rule-drift", ….
	Code  string `json:"code"`
	Level Level  `json:"level"`
	// Text says what was found and why it matters.
	Text string `json:"text"`
	// Fix is the command or the step that repairs it; may be empty.
	Fix string `json:"fix,omitempty"`
}

// String is the finding in one line.
func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s: %s", f.Level, f.Code, f.Text)
	if f.Fix != "" {
		s += " (fix: " + f.Fix + ")"
	}
	return s
}

// Verify compares the network namespace of the calling thread with the plan.
// A plan in force has no finding of level Problem.
func Verify(p Plan) []Finding {
	p = p.WithDefaults()
	v := &verifier{p: p}
	if err := p.Validate(); err != nil {
		v.add("plan-invalid", Problem, "", "%v", err)
		return v.found
	}
	nf, err := dialNF()
	if err != nil {
		v.add("unreadable", Problem, "", "%v", err)
		return v.found
	}
	defer nf.close()
	rt, err := dialRT()
	if err != nil {
		v.add("unreadable", Problem, "", "%v", err)
		return v.found
	}
	defer rt.close()
	for _, step := range []func() error{
		func() error { return v.table(nf) },
		func() error { return v.routing(rt) },
		func() error { return v.shadows(rt) },
		v.settings,
	} {
		if err := step(); err != nil {
			v.add("unreadable", Problem, "", "%v", err)
		}
	}
	return v.found
}

// verifier collects findings.
type verifier struct {
	p     Plan
	found []Finding
}

func (v *verifier) add(code string, l Level, fix, format string, args ...any) {
	v.found = append(v.found, Finding{code, l, fmt.Sprintf(format, args...), fix})
}

const fixReapply = "apply the plan again (weir intercept up, or restart weir)"

// table compares chains, rules and sets.
func (v *verifier) table(nf *nfConn) error {
	pr := compile(v.p)
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

// routing looks for the plan's policy rules and routes.
func (v *verifier) routing(rt *rtConn) error {
	for _, r := range v.p.routing() {
		ok, err := rt.present(r)
		if err != nil {
			return err
		}
		if ok {
			continue
		}
		code, what := "route-missing", "route"
		if r.rule != nil {
			code, what = "ip-rule-missing", "policy rule"
		}
		v.add(code, Problem, r.String(), "a %s is missing: intercepted packets do not reach the listener", what)
	}
	return nil
}

// shadows looks for policy rules of others that catch our marked packets first.
func (v *verifier) shadows(rt *rtConn) error {
	for _, v6 := range []bool{false, true} {
		rules, err := rt.rules(v6)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if r.Protocol == protocol || r.Priority > v.p.Priority || r.Priority == 0 {
				continue // priority 0 is the kernel's table local, which must come first
			}
			mask := uint32(0xffffffff)
			if r.Mask != nil {
				mask = *r.Mask
			}
			if r.Mark != 0 && v.p.Mark&mask == r.Mark {
				v.add("ip-rule-shadowed", Problem, fmt.Sprintf("choose other marks, or a priority below %d", r.Priority),
					"policy rule %d (fwmark %#x/%#x, table %d) catches our mark %#x/%#x first", r.Priority, r.Mark, mask, r.Table, v.p.Mark, v.p.MarkMask)
			}
		}
	}
	return nil
}

// settings reads the sysctls that matter. rp_filter and src_valid_mark do not:
// our first policy rule takes the mark out of reverse-path checks. Neither does
// route_localnet: tproxy rewrites no address.
func (v *verifier) settings() error {
	for _, s := range v.p.Sysctls {
		got, err := readSysctl(s.Key)
		if err != nil {
			return err
		}
		if got != s.Value {
			v.add("sysctl-drift", Problem, fmt.Sprintf("sysctl -w %s=%s", s.Key, s.Value), "%s is %s, the plan says %s", s.Key, got, s.Value)
		}
	}
	for _, f := range []struct {
		of  Families
		key string
	}{{IPv4, "net.ipv4.ip_forward"}, {IPv6, "net.ipv6.conf.all.forwarding"}} {
		if v.p.Families&f.of == 0 {
			continue
		}
		if got, err := readSysctl(f.key); err == nil && got == "0" {
			v.add("forwarding-off", Note, "sysctl -w "+f.key+"=1",
				"%s is 0: what is not intercepted, or passes while Weir is down, is not forwarded", f.key)
		}
	}
	if v.p.Families&IPv4 != 0 {
		v.strictReversePath()
	}
	for _, name := range v.p.Interfaces {
		if _, err := net.InterfaceByName(name); err != nil {
			v.add("interface-missing", Note, "", "interface %s is not there now: its packets are taken when it appears", name)
		}
	}
	return nil
}

// strictReversePath notes interfaces with rp_filter=1: replies that come in on
// another interface than the one towards their source are dropped.
func (v *verifier) strictReversePath() {
	names := uniqueNames(v.p.Interfaces)
	if len(names) == 0 {
		entries, err := os.ReadDir("/proc/sys/net/ipv4/conf")
		if err != nil {
			return
		}
		for _, e := range entries {
			if n := e.Name(); n != "all" && n != "default" && n != "lo" {
				names = append(names, n)
			}
		}
	}
	read := func(name string) (string, error) {
		return readSysctl("net.ipv4.conf." + sysctlName(name) + ".rp_filter")
	}
	all, err := read("all")
	if err != nil {
		return
	}
	for _, n := range names {
		// The kernel uses the larger of the two: Documentation/networking/ip-sysctl.
		if own, err := read(n); err == nil && max(all, own) == "1" {
			v.add("rp-filter-strict", Note, "sysctl -w net.ipv4.conf."+sysctlName(n)+".rp_filter=2",
				"rp_filter is strict on %s: with asymmetric routes packets are dropped before interception", n)
		}
	}
}
