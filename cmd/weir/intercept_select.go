package main

import (
	"fmt"
	"os/user"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/weirproxy/weir/proxy/intercept"
)

// selectFlags say from whom traffic is taken, by marks and programs, what becomes
// of QUIC, and which numbers are used.
type selectFlags struct {
	users, groups, marks string
	cgroups              []string
	notUsers, notGroups  string
	notMarks             string
	notCgroups           []string
	udp443               string
	markMask, localMark  uint32
	priority             int
	inbound, dns         bool
}

func (s *selectFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.users, "intercept-users", "", "with --intercept-local: take connections of these users only, e.g. 1000-1999,www-data; of several --intercept-users, -groups and -cgroup one must hold")
	f.StringVar(&s.groups, "intercept-groups", "", "with --intercept-local: take connections of these groups only")
	f.StringSliceVar(&s.cgroups, "intercept-cgroup", nil, "with --intercept-local: take connections of this cgroup only, and of those below it: a path below the root of cgroup v2, or a class of net_cls as 10:1")
	f.StringVar(&s.marks, "intercept-marks", "", "take packets with one of these marks only, e.g. 0x100/0x100")
	f.StringVar(&s.notUsers, "intercept-exclude-users", "", "with --intercept-local: leave connections of these users alone")
	f.StringVar(&s.notGroups, "intercept-exclude-groups", "", "with --intercept-local: leave connections of these groups alone")
	f.StringSliceVar(&s.notCgroups, "intercept-exclude-cgroup", nil, "with --intercept-local: leave connections of this cgroup alone")
	f.StringVar(&s.notMarks, "intercept-exclude-marks", "", "leave packets with these marks alone")
	f.StringVar(&s.udp443, "intercept-udp-443", "pass", "what becomes of QUIC where TCP to port 443 is taken: pass, or reject, so that clients fall back to TCP")
	f.BoolVar(&s.dns, "intercept-dns", false, "take DNS over TCP (port 53) too; DNS over UDP is never taken")
	f.BoolVar(&s.inbound, "intercept-inbound", false, "take connections to this machine's own addresses too, but for its own listeners")
	f.Uint32Var(&s.markMask, "intercept-mark-mask", intercept.DefaultMarkMask, "bits of the packet mark that the rules use")
	f.Uint32Var(&s.localMark, "intercept-local-mark", intercept.DefaultLocalMark, "packet mark of intercepted traffic of this machine's own programs")
	f.IntVar(&s.priority, "intercept-priority", intercept.DefaultPriority, "first of three priorities of policy rules (ip rule)")
}

// fill sets the fields of the plan, and notes what is wrong.
func (s *selectFlags) fill(p *intercept.Plan, note func(flag string, err error)) {
	var err error
	ids := func(flag, text string, lookup func(string) (uint32, error)) (out []intercept.IDRange) {
		out, err = intercept.ParseIDs(text, lookup)
		note(flag, err)
		return out
	}
	p.IncludePrograms = intercept.Programs{UIDs: ids("intercept-users", s.users, userID), GIDs: ids("intercept-groups", s.groups, groupID)}
	p.ExcludePrograms = intercept.Programs{UIDs: ids("intercept-exclude-users", s.notUsers, userID), GIDs: ids("intercept-exclude-groups", s.notGroups, groupID)}
	for _, c := range s.cgroups {
		note("intercept-cgroup", p.IncludePrograms.ParseCgroup(c))
	}
	for _, c := range s.notCgroups {
		note("intercept-exclude-cgroup", p.ExcludePrograms.ParseCgroup(c))
	}
	p.IncludeMarks, err = intercept.ParseMarks(s.marks)
	note("intercept-marks", err)
	p.ExcludeMarks, err = intercept.ParseMarks(s.notMarks)
	note("intercept-exclude-marks", err)
	note("intercept-udp-443", p.UDP443.UnmarshalText([]byte(s.udp443)))
	p.IncludeLocal, p.DNS = s.inbound, s.dns
	p.MarkMask, p.LocalMark, p.Priority = s.markMask, s.localMark, s.priority
}

func userID(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", name, err)
	}
	return number(u.Uid)
}

func groupID(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", name, err)
	}
	return number(g.Gid)
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
