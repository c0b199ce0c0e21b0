package doctor

import (
	"fmt"
	"strings"
)

// Text is the report for people: causes first, what follows from each below it.
func (r *Report) Text() string {
	var b strings.Builder
	counts := map[Level]int{}
	for i := range r.Findings {
		x := &r.Findings[i]
		counts[x.Level]++
		if i > 0 {
			b.WriteByte('\n')
		}
		x.text(&b)
	}
	for _, u := range r.Unread {
		fmt.Fprintf(&b, "\nnot looked at: %s: %s\n", u.Part, u.Error)
	}
	if len(r.Findings) > 0 || len(r.Unread) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d checks: %s\n", len(r.Checked), tally(counts))
	return b.String()
}

func tally(n map[Level]int) string {
	var parts []string
	for _, l := range []Level{Problem, Warning, Note} {
		switch {
		case n[l] == 1:
			parts = append(parts, "1 "+string(l))
		case n[l] > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n[l], l))
		}
	}
	if len(parts) == 0 {
		return "nothing is wrong"
	}
	return strings.Join(parts, ", ")
}

// text writes one finding: what, evidence, why, fix, and what follows from it.
func (x *Finding) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s: %s\n", x.Code, x.Level, x.Text)
	line := func(label, s string) { fmt.Fprintf(b, "  %-6s %s\n", label, s) }
	for i, e := range x.Evidence {
		label := "seen"
		if i > 0 {
			label = ""
		}
		line(label, e)
	}
	line("why", x.Why)
	for i, c := range x.Fix {
		label := "fix"
		if i > 0 {
			label = ""
		}
		line(label, c)
	}
	if x.Advice != "" {
		label := ""
		if len(x.Fix) == 0 {
			label = "fix"
		}
		line(label, x.Advice)
	}
	for i, y := range x.Follows {
		label := "hence"
		if i > 0 {
			label = ""
		}
		line(label, fmt.Sprintf("%s %s", y.Code, y.Text))
	}
}
