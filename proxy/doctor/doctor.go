// Package doctor finds out what is wrong with a machine that Weir intercepts
// traffic on, and says it in the order in which it should be mended.
//
// The life of a diagnosis:
//
//  1. [Observe] gathers [Facts]: sockets, rules, policy rules, settings, counters,
//     the running process, and what that says of itself ([Live]). It judges
//     nothing and changes nothing. A part that cannot be read is named.
//  2. [Diagnose] asks every check of the table (checks.go). A check is a pure
//     function from Facts to findings: what was seen, why it matters, the exact
//     commands that mend it.
//  3. Findings that follow from another one are folded under it, so that what is
//     shown first is the cause.
//  4. [Mend] applies the repairs that are safe, when asked.
//
// Adding a check is adding a row to the table, a case to its test, and a way to
// break a host to test/doctor.
package doctor

import (
	"slices"
	"strings"
	"time"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	// Problem: traffic does not go where it should, now.
	Problem Level = "problem"
	// Warning: it will not when something else happens, or part of it does not.
	Warning Level = "warning"
	// Note: worth knowing; nothing needs doing.
	Note Level = "note"
)

// A Finding is something that a check found.
type Finding struct {
	// Code and Name are the check's; both are stable.
	Code  string `json:"code"`
	Name  string `json:"name"`
	Level Level  `json:"level"`
	// Object is what it is about, a kind and a name: "cluster shop", "interface eth0".
	Object string `json:"object,omitempty"`
	// Text says what is wrong, in one sentence.
	Text string `json:"text"`
	// Evidence is what was seen.
	Evidence []string `json:"evidence,omitempty"`
	// Why says why it matters.
	Why string `json:"why"`
	// Fix are the commands that mend it, to be given in this order as root.
	Fix []string `json:"fix,omitempty"`
	// Advice says what to do where no command can know it.
	Advice string `json:"advice,omitempty"`
	// Safe says that Mend (--fix) applies the repair by itself.
	Safe bool `json:"safe"`
	// Follows are the findings that this one explains.
	Follows []Finding `json:"follows,omitempty"`

	repairs []repair
}

// A Report is a diagnosis. Its JSON is stable: names are added, never changed.
type Report struct {
	// Version of the form of this report.
	Version int `json:"version"`
	// At is when was looked.
	At time.Time `json:"at"`
	// OK says that there is neither a problem nor a warning.
	OK bool `json:"ok"`
	// Findings are the causes, worst first; what follows from them is in them.
	Findings []Finding `json:"findings"`
	// Unread are the parts that could not be looked at.
	Unread []Unread `json:"unread,omitempty"`
	// Checked are the codes of all checks that had what they look at.
	Checked []string `json:"checked"`
}

// Unread is a part of the facts that could not be read.
type Unread struct {
	Part  string `json:"part"`
	Error string `json:"error"`
}

// reportVersion is Report.Version.
const reportVersion = 1

// Diagnose judges the facts. only limits the checks to those codes, when not empty;
// what a finding follows from is then not looked for.
func Diagnose(f *Facts, only ...string) *Report {
	r := &Report{Version: reportVersion, At: f.At.UTC(), Findings: []Finding{}, Checked: []string{}, Unread: f.Unread}
	var all []Finding
	for _, c := range Checks() {
		if len(only) > 0 && !slices.Contains(only, c.Code) {
			continue
		}
		if !f.has(c.Looks) {
			continue
		}
		r.Checked = append(r.Checked, c.Code)
		for _, x := range c.run(f) {
			x.Code, x.Name, x.Why = c.Code, c.Name, c.Why
			if x.Level == "" {
				x.Level = c.Level
			}
			x.Safe = len(x.repairs) > 0
			all = append(all, x)
		}
	}
	r.Findings = append(r.Findings, fold(all, Checks())...)
	r.OK = !slices.ContainsFunc(r.Findings, func(x Finding) bool { return x.Level != Note })
	return r
}

// fold puts findings under those that explain them. all is in the order of the
// table, and so are the causes among themselves: the table goes from the ground up.
func fold(all []Finding, table []Check) []Finding {
	needs := map[string][]string{}
	for _, c := range table {
		needs[c.Code] = c.Needs
	}
	// cause gives the index of what explains all[i], -1 when nothing does.
	cause := func(i int) int {
		for _, code := range needs[all[i].Code] {
			for j := range all {
				if j != i && all[j].Code == code && all[j].Level != Note && related(all[i].Object, all[j].Object) {
					return j
				}
			}
		}
		return -1
	}
	roots := make([]int, len(all))
	for i := range all {
		roots[i] = i
		for j := cause(i); j >= 0; j = cause(j) { // ends: the table has no cycle (TestTheTable)
			roots[i] = j
		}
	}
	var out []Finding
	for i := range all {
		if roots[i] != i {
			continue
		}
		x := all[i]
		for j := range all {
			if j != i && roots[j] == i {
				x.Follows = append(x.Follows, all[j])
			}
		}
		out = append(out, x)
	}
	rank := map[Level]int{Problem: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(out, func(a, b Finding) int { return rank[a.Level] - rank[b.Level] })
	return out
}

// related tells whether a finding about object a can follow from one about b: not
// from one about another thing of the same kind.
func related(a, b string) bool {
	ka, _, _ := strings.Cut(a, " ")
	kb, _, _ := strings.Cut(b, " ")
	return a == b || ka != kb
}

// ByCode gives the findings of a check, folded ones too.
func (r *Report) ByCode(code string) (out []Finding) {
	for _, x := range r.Findings {
		for _, y := range append([]Finding{x}, x.Follows...) {
			if y.Code == code {
				out = append(out, y)
			}
		}
	}
	return out
}

// Known tells whether there is a check of that code.
func Known(code string) bool {
	return slices.ContainsFunc(Checks(), func(c Check) bool { return c.Code == code })
}
