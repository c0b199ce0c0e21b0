package dryrun

import (
	"fmt"
	"io"
	"strings"

	"github.com/weirproxy/weir/proxy/flows"
)

// Write prints the report for people.
func (r *Report) Write(w io.Writer) {
	for _, c := range r.Changes {
		fmt.Fprintf(w, "%s %s %q", map[string]string{"added": "+", "removed": "-"}[c.What]+map[string]string{"changed": "~"}[c.What], c.Kind, c.Name)
		if len(c.Fields) > 0 {
			fmt.Fprintf(w, ": %s", strings.Join(c.Fields, ", "))
		}
		fmt.Fprintln(w)
	}
	for _, j := range r.Rejected {
		for _, e := range j.Errors {
			fmt.Fprintf(w, "! %s %q is rejected: %s\n", j.Kind, j.Name, e)
		}
	}
	if len(r.Changes)+len(r.Rejected) == 0 {
		fmt.Fprintln(w, "nothing would change")
	}
	fmt.Fprintf(w, "%d recent requests: ", r.Looked)
	if len(r.Moved)+len(r.Lost) == 0 {
		fmt.Fprintln(w, "all would go where they go now")
		return
	}
	fmt.Fprintln(w, "these would go elsewhere")
	for _, m := range append(append([]Move(nil), r.Lost...), r.Moved...) {
		fmt.Fprintf(w, "  %d× %s by %q: %s → %s\n", m.Count, subject(&m.Example), m.Example.Listener, m.Was, m.Now)
	}
}

// subject names a request, or a connection by what is known of it.
func subject(q *flows.Request) string {
	switch {
	case q.Method != "":
		return q.Method + " " + q.Host + q.Path
	case q.ServerName != "":
		return fmt.Sprintf("connection to %v, %s,", q.Dest, q.ServerName)
	}
	return fmt.Sprintf("connection to %v", q.Dest)
}

// String says where a way ends.
func (w Way) String() string {
	switch {
	case w.Lost != "":
		return "NOWHERE, " + w.Lost
	case w.Cluster != "":
		return "cluster " + w.Cluster
	}
	return w.Answer
}
