package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/info"
)

// QuestionOf asks about what a flow was decided by.
func QuestionOf(q *flows.Request) Question {
	out := Question{
		Listener: q.Listener, Source: q.Source, Destination: q.Dest,
		TLS: q.TLS || q.Transport == info.TLS, ServerName: q.ServerName,
		HTTP2: q.HTTP2, Method: q.Method, Host: q.Host, Path: q.Path, Scope: q.Scope,
	}
	if q.ALPN != "" {
		out.ALPN = []string{q.ALPN}
	}
	for name, v := range q.HeaderField {
		out.Headers = append(out.Headers, Field{Name: name, Value: v})
	}
	slices.SortFunc(out.Headers, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	if q.Method != "" {
		out.Draw = &q.Rand
	}
	return out
}

// A FlowAnswer is what became of a flow, and what would become of it now.
type FlowAnswer struct {
	Flow    flows.Flow `json:"flow"` // what decided then is in it
	Now     *Answer    `json:"now"`
	Changed []string   `json:"changed"`           // where the two differ
	Unknown []string   `json:"unknown,omitempty"` // of what it was decided by: now may differ for that alone
}

// AskFlow says where a flow went, and where it would go now.
func (w World) AskFlow(f *flows.Flow) *FlowAnswer {
	in := f.Inputs()
	q := QuestionOf(&in)
	a := &FlowAnswer{Flow: *f, Now: w.Ask(q), Changed: []string{}}
	a.compare()
	if in.Query {
		a.Unknown = append(a.Unknown, "the query of the path")
	}
	switch {
	case f.Kind != "request":
	case f.Sampled():
		a.Unknown = append(a.Unknown, "header fields other than content-type, accept, user-agent and x-forwarded-proto")
	default:
		a.Unknown = append(a.Unknown, "header fields")
	}
	if f.Cut {
		a.Unknown = append(a.Unknown, "the ends of texts that were too long")
	}
	return a
}

// compare finds where a flow would go another way.
func (a *FlowAnswer) compare() {
	f, now := &a.Flow, a.Now
	if f.State == "sniffing" {
		return // nothing was decided yet
	}
	cluster := ""
	if now.Cluster != nil {
		cluster = now.Cluster.Name
	}
	for _, x := range [][3]string{
		{"filter chain", f.Chain, strings.Trim(now.Chain, `"`)},
		{"virtual host", f.VirtualHost, now.VirtualHost},
		{"route", f.Route, now.Route},
		{"cluster", f.Cluster, cluster},
	} {
		if x[1] != "" && x[1] != x[2] {
			a.Changed = append(a.Changed, fmt.Sprintf("%s: was %s, would be %s", x[0], x[1], orNone(x[2])))
		}
	}
	if h := f.Host; h.IsValid() && len(a.Changed) == 0 && len(now.Hosts) > 0 && !slices.Contains(now.Hosts, h.String()) {
		a.Changed = append(a.Changed, fmt.Sprintf("host: was %v, which is not one of them now", h))
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Text is the answer for people.
func (a *FlowAnswer) Text() string {
	var b strings.Builder
	f := &a.Flow
	what := strings.TrimSpace(f.Method + " " + f.Authority + f.Path)
	if what == "" {
		what = strings.TrimSpace(f.Transport + " " + f.ServerName)
	}
	fmt.Fprintf(&b, "%s %s, %s: %s\n  from %v to %v by listener %s, %s\n", f.Kind, f.ID, f.State, what, f.Client, f.Destination, f.Listener,
		f.Start.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(&b, "\nthen%s\n", version(f.Version))
	for _, x := range [][2]string{
		{"filter chain", f.Chain},
		{"virtual host", f.VirtualHost},
		{"route", f.Route},
		{"cluster", f.Cluster},
		{"flags", f.Flags},
		{"details", f.Details},
		{"transport failure", f.Failure},
	} {
		if x[1] != "" {
			fmt.Fprintf(&b, "  %s %s\n", x[0], x[1])
		}
	}
	if f.Host.IsValid() {
		fmt.Fprintf(&b, "  host %v\n", f.Host)
	}
	if f.Code > 0 {
		fmt.Fprintf(&b, "  answered %d after %.1f ms\n", f.Code, f.Duration)
	}
	for i, t := range f.Tries {
		fmt.Fprintf(&b, "  - try %d, to %s: %s", i+1, addr(t), t.Why)
		if t.Code > 0 {
			fmt.Fprintf(&b, " %d", t.Code)
		}
		fmt.Fprintf(&b, ", %.1f ms after the start\n", t.After)
	}
	fmt.Fprintf(&b, "\nnow%s\n", version(a.Now.Snapshot))
	if len(a.Changed) == 0 {
		fmt.Fprintln(&b, "  it would go the same way")
	}
	for _, c := range a.Changed {
		fmt.Fprintf(&b, "  ~ %s\n", c)
	}
	if len(a.Unknown) > 0 {
		fmt.Fprintf(&b, "  not kept, and not asked with: %s\n", strings.Join(a.Unknown, "; "))
	}
	return b.String() + "\n" + a.Now.Text()
}

func addr(t flows.Try) string {
	if t.Host.IsValid() {
		return t.Host.String()
	}
	return "no host"
}

func version(v uint64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(", by snapshot %d", v)
}
