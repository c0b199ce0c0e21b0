package intercept

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// PrintPlan prints what a plan would do, for `weir intercept plan`: a summary in
// words, then the rules. It changes nothing and needs no privilege.
func PrintPlan(w io.Writer, p Plan) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("intercept %q: %w", p.WithDefaults().Name, err)
	}
	_, err := io.WriteString(w, p.summary()+"\n"+p.Render())
	return err
}

// summary says the plan in comment lines.
func (p Plan) summary() string {
	p = p.WithDefaults()
	var b strings.Builder
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "# %-12s %s\n", key, fmt.Sprintf(format, args...))
	}
	how := "destination kept"
	if p.Redirect {
		how = "destination rewritten"
	}
	line("plan", "%s: TCP to port %d of this machine, %s", p.Name, p.ListenPort, how)
	line("takes", "%s, %s", portsText(p.Ports, "all ports"), strings.Join(p.fromText(), ", "))
	if len(p.IncludeCIDRs) > 0 {
		line("only to", "%s", strings.Trim(fmt.Sprint(p.IncludeCIDRs), "[]"))
	}
	if g := p.IncludePrograms.words(); len(g) > 0 {
		line("only of", "%s", strings.Join(g, ", "))
	}
	if len(p.IncludeMarks) > 0 {
		line("only marked", "%s", strings.Trim(fmt.Sprint(p.IncludeMarks), "[]"))
	}
	not := []string{"loopback, link-local, multicast and broadcast addresses"}
	if !p.IncludeLocal {
		not = append(not, "this machine's own addresses")
	}
	if !p.SSH {
		not = append(not, "port 22")
	}
	if !p.DNS {
		not = append(not, "port 53")
	}
	if len(p.ExcludePorts) > 0 {
		not = append(not, portsText(p.ExcludePorts, ""))
	}
	for _, c := range p.ExcludeCIDRs {
		not = append(not, c.String())
	}
	for _, a := range p.ExcludeAddrPorts {
		not = append(not, a.String())
	}
	not = append(not, p.ExcludePrograms.words()...)
	for _, m := range p.ExcludeMarks {
		not = append(not, "mark "+m.String())
	}
	line("leaves alone", "%s; sockets with mark %#x", strings.Join(not, ", "), p.OwnMark)
	if p.UDP443 == RejectUDP443 {
		line("udp 443", "reject: clients of QUIC fall back to TCP")
	}
	if p.OnDown == Drop {
		line("when down", "drop: connections fail while nothing listens")
	} else {
		line("when down", "pass: connections go to their destination while nothing listens")
		if len(p.DropPorts) > 0 {
			line("but", "%s: dropped then, until weir intercept down", portsText(p.DropPorts, ""))
		}
		if p.Lease {
			line("lease", "without one, renewed by the process or the guard, connections go to their destination after %s", LeaseTime)
		}
	}
	line("undo", "weir intercept down --name %s", p.Name)
	return b.String()
}

// words are the programs, each with its kind.
func (g Programs) words() (out []string) {
	for _, r := range g.UIDs {
		out = append(out, "user "+r.String())
	}
	for _, r := range g.GIDs {
		out = append(out, "group "+r.String())
	}
	for _, c := range g.Cgroups {
		out = append(out, "cgroup "+c)
	}
	for _, id := range g.ClassIDs {
		out = append(out, fmt.Sprintf("class %x:%x", id>>16, id&0xffff))
	}
	return out
}

func portsText(ranges []PortRange, none string) string {
	if len(ranges) == 0 {
		return none
	}
	var parts []string
	for _, r := range mergePorts(ranges) {
		parts = append(parts, r.String())
	}
	return "ports " + strings.Join(parts, " ")
}

// fromText says where connections come from and by which IP.
func (p Plan) fromText() []string {
	from := "through any interface but lo"
	if names := uniqueNames(p.Interfaces); len(names) > 0 {
		from = "in by " + strings.Join(names, " ")
	}
	out := []string{from}
	if p.Local {
		out = append(out, "and from programs of this machine")
	}
	switch p.Families {
	case IPv4:
		return append(out, "IPv4 only")
	case IPv6:
		return append(out, "IPv6 only")
	}
	return append(out, "IPv4 and IPv6")
}

// PrintStatus prints an interception and what Verify found, for `weir intercept status`.
func PrintStatus(w io.Writer, s Status, findings []Finding) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	switch {
	case !s.Active && s.Plan == nil:
		fmt.Fprintf(tw, "%s: off\n", s.Name)
		return tw.Flush()
	case !s.Active:
		fmt.Fprintf(tw, "%s: off, but recorded by process %d: `weir intercept down --name %s` clears what it left\n", s.Name, s.PID, s.Name)
	default:
		fmt.Fprintf(tw, "%s: on, %s", s.Name, s.Mode)
		if s.PID != 0 {
			fmt.Fprintf(tw, ", by process %d", s.PID)
		}
		if s.Guard != 0 {
			fmt.Fprintf(tw, ", guarded by process %d", s.Guard)
		}
		fmt.Fprintf(tw, "\n%d connections intercepted, %d found no listener\n", s.Intercepted(), s.Missed())
	}
	if len(s.Rules) > 0 {
		fmt.Fprintln(tw, "\nCHAIN\tRULE\tPACKETS\tBYTES")
		for _, r := range s.Rules {
			fmt.Fprintf(tw, "%s\t%s\t%d\t%d\n", r.Chain, r.Comment, r.Packets, r.Bytes)
		}
	}
	if len(s.Routing) > 0 {
		fmt.Fprintln(tw, "\nROUTING")
		for _, r := range s.Routing {
			state := "ok"
			if !r.Present {
				state = "missing"
			}
			fmt.Fprintf(tw, "%s\t%s\n", state, r.Command)
		}
	}
	if len(findings) > 0 {
		fmt.Fprintln(tw, "\nFINDINGS")
		for _, f := range findings {
			fmt.Fprintln(tw, f)
		}
	}
	return tw.Flush()
}
