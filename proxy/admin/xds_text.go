package admin

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// write prints the status for people: what is wrong stands beside what it is
// wrong with, and nothing is printed that is as it should be and of no use.
func (st *xdsStatus) write(b *strings.Builder) {
	ready := "ready"
	if !st.Ready {
		ready = "waiting for first answers"
	}
	fmt.Fprintf(b, "%s, snapshot %d applied of %d\n", ready, st.Applied, st.Snapshot)
	if st.Error != "" {
		fmt.Fprintf(b, "not all of it is in force:\n%s", indent(st.Error))
	}
	if g := st.LastGood; g != nil {
		b.WriteString(lastGoodText(g.Saved, g.Resources, g.Unanswered))
	}
	for _, c := range st.Sources {
		verb := "connected"
		switch {
		case c.File && c.Connected:
			verb = "read"
		case c.File:
			verb = "not read"
		case !c.Connected:
			verb = "not connected"
		}
		fmt.Fprintf(b, "source %s: %s for %s", c.Name, verb, seconds(c.For))
		if c.Server != "" {
			fmt.Fprintf(b, ", server %s", quoted(c.Server))
		}
		if c.Delta {
			b.WriteString(", delta")
		}
		if c.Failures > 0 {
			fmt.Fprintf(b, ", %d failures", c.Failures)
		}
		b.WriteByte('\n')
		if c.Error != "" && !c.Connected {
			b.WriteString(indent(c.Error))
		}
	}
	for _, w := range st.Warming {
		fmt.Fprintf(b, "warming: %s %q waits for %s, %s now\n", w.Kind, w.Name, w.Blocker, seconds(w.For))
	}
	for i := range st.Types {
		st.Types[i].write(b)
	}
}

func (t *xdsType) write(b *strings.Builder) {
	how := fmt.Sprintf("%d names", len(t.Subscribed))
	if t.Wildcard {
		how = "all"
	}
	fmt.Fprintf(b, "\n%s (%s) from %s: %s, version %s, applied %s, nonce %s; %d accepted, %d refused, %d lost, %d timed out\n",
		t.Short, kind(t.TypeURL), cmp.Or(t.Source, "nowhere"), how, quoted(t.Version), quoted(t.Applied), quoted(t.Nonce),
		t.Success, t.Rejected, t.Failure, t.FetchTimeout)
	if n := t.NACK; n != nil {
		state := "accepted again since"
		if n.Standing {
			state = "stands"
		}
		fmt.Fprintf(b, "  refused version %s at %s, %s:\n%s", quoted(n.Version), n.At.UTC().Format(time.RFC3339), state, indent(n.Text))
	}
	for _, r := range t.Resources {
		fmt.Fprintf(b, "  %-14s %s", r.State, r.Name)
		switch {
		case r.Static:
			b.WriteString(" (static)")
		case r.Version != "":
			fmt.Fprintf(b, " version %s", quoted(r.Version))
		}
		if r.Next != "" && r.Next != r.Version {
			fmt.Fprintf(b, ", next %s", quoted(r.Next))
		}
		if r.Expires != "" {
			fmt.Fprintf(b, ", until %s", r.Expires)
		}
		if r.Blocker != "" {
			fmt.Fprintf(b, ", waits for %s", r.Blocker)
		}
		b.WriteByte('\n')
		if r.Error != nil {
			fmt.Fprintf(b, "    refused version %s:\n%s", quoted(r.Error.Version), indent(r.Error.Text))
		}
		for _, f := range r.Degraded {
			fmt.Fprintf(b, "    no effect: %s\n", f)
		}
	}
}

// indent sets a text of several lines in.
func indent(s string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n      ") + "\n"
}

func quoted(s string) string {
	if s == "" {
		return "-"
	}
	return fmt.Sprintf("%q", s)
}

func seconds(s float64) string {
	return (time.Duration(s*1000) * time.Millisecond).Round(100 * time.Millisecond).String()
}
