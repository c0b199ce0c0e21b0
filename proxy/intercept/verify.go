package intercept

import (
	"fmt"
	"net"
	"os"
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
	fw, err := dialFirewall(p.Backend)
	if err != nil {
		v.add("unreadable", Problem, "", "%v", err)
		return v.found
	}
	defer fw.close()
	rt, err := dialRT()
	if err != nil {
		v.add("unreadable", Problem, "", "%v", err)
		return v.found
	}
	defer rt.close()
	for _, step := range []func() error{
		func() error { return fw.compare(v) },
		func() error { return v.lease(fw) },
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

// lease looks whether somebody renews it, while there is a listener to take traffic to.
func (v *verifier) lease(fw firewall) error {
	if !v.p.Lease {
		return nil
	}
	held, err := fw.leased(v.p)
	if err != nil {
		return err
	}
	there, err := listening(v.p.ListenPort)
	if err != nil {
		return err
	}
	switch missing := v.p.Families & there &^ held; {
	case v.p.Families&there == 0:
		v.add("not-listening", Note, "", "nothing listens on port %d: connections pass", v.p.ListenPort)
	case missing != 0:
		v.add("lease-expired", Problem, "look whether weir, or its guard (weir intercept guard), runs", "nobody renews the lease of %s: connections pass although port %d is listened on", missing, v.p.ListenPort)
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
