package explain

import (
	"fmt"
	"strings"
)

// Text is the answer for people: the outcome, then every stage with what was looked at; "+" held, "-" did not.
func (a *Answer) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, a.Outcome)
	for _, s := range a.Stages {
		fmt.Fprintf(&b, "\n%s\n", s.Name)
		for _, st := range s.Steps {
			sign := "-"
			if st.OK {
				sign = "+"
			}
			fmt.Fprintf(&b, "  %s %s: %s\n", sign, st.Subject, st.Why)
		}
	}
	if g := a.Budget; g != nil {
		fmt.Fprintf(&b, "\nbudget\n  %s\n", strings.Join(g.words(), ", "))
	}
	if l := a.Limits; l != nil {
		fmt.Fprintf(&b, "\ncircuit breakers\n  connections %d of %d, pending %d of %d, requests %d of %d, retries %d of %d\n",
			l.Connections, l.MaxConnections, l.Pending, l.MaxPending, l.Requests, l.MaxRequests, l.Retries, l.MaxRetries)
	}
	if d := a.decided(); d != "" {
		fmt.Fprintf(&b, "\ndecided by\n  %s\n", d)
	}
	return b.String()
}

// words are the bounds that there are.
func (g *Budget) words() (out []string) {
	for _, x := range []struct {
		name string
		ms   int64
	}{
		{"timeout", g.Timeout}, {"per try", g.PerTry}, {"per try idle", g.PerTryIdle}, {"idle", g.Idle}, {"stream", g.Max}, {"connect", g.Connect},
	} {
		if x.ms > 0 {
			out = append(out, fmt.Sprintf("%s %d ms", x.name, x.ms))
		}
	}
	return append(out, fmt.Sprintf("%d retries", g.Retries))
}

// decided names the resources that decided, with their versions.
func (a *Answer) decided() string {
	var out []string
	for _, x := range []struct {
		kind string
		r    *Resource
	}{{"listener", a.Listener}, {"route configuration", a.RouteConfig}, {"cluster", a.Cluster}} {
		if x.r == nil {
			continue
		}
		v := "version " + x.r.Version
		switch {
		case x.r.Static:
			v = "of the bootstrap"
		case x.r.Version == "":
			v = "of no version"
		}
		out = append(out, fmt.Sprintf("%s %s %s", x.kind, x.r.Name, v))
	}
	return strings.Join(out, ", ")
}
