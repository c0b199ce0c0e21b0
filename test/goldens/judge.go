package goldens

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/yamlproto"
)

// A Verdict is what became of a scenario. The scenario is accepted when nothing was refused.
type Verdict struct {
	Name string
	// Accepted counts resources that work in full, Degraded those that work but for fields without effect, Refused the others.
	Accepted, Degraded, Refused int
	// Refusals and Effectless are the reasons, "kind path: what", with no indexes and names in them.
	Refusals, Effectless []string
}

// Judge decodes every resource of a scenario as one of a control plane.
func Judge(d *config.Decoder, s Scenario) Verdict {
	v := Verdict{Name: s.Name}
	for _, err := range s.Unread {
		v.Refused++
		v.Refusals = append(v.Refusals, unread(err)...)
	}
	for _, a := range s.Resources {
		t, _ := config.TypeOf(a.GetTypeUrl())
		r, err := d.Decode(a.GetTypeUrl(), a, false)
		var e *config.Error
		switch {
		case errors.As(err, &e):
			v.Refused++
			for _, f := range e.Errs {
				if !slices.ContainsFunc(e.Errs, func(o *fielderr.Error) bool { return o.Path == f.Path+".typed_config" }) {
					v.Refusals = append(v.Refusals, t.Kind+" "+plain(f.Error())) // and not the type twice
				}
			}
		case err != nil:
			v.Refused++
			v.Refusals = append(v.Refusals, t.Kind+" "+plain(err.Error()))
		case len(r.Degraded) > 0:
			v.Degraded++
			for _, text := range r.Degraded {
				v.Effectless = append(v.Effectless, t.Kind+" "+plain(text))
			}
		default:
			v.Accepted++
		}
	}
	return v
}

// unread gives the mistakes of the reader, without positions.
func unread(err error) []string {
	var es yamlproto.Errors
	if !errors.As(err, &es) {
		return []string{"unread " + plain(err.Error())}
	}
	out := make([]string, len(es))
	for i, e := range es {
		out[i] = "unread " + plain(e.Path+": "+e.Message)
	}
	return out
}

var (
	indexes = regexp.MustCompile(`\[(\d+|"[^"]*")\]`)
	lists   = regexp.MustCompile(` \(supported: [^)]*\)`)
)

// plain leaves out what differs between two cases of one cause.
func plain(s string) string { return lists.ReplaceAllString(indexes.ReplaceAllString(s, "[]"), "") }

// A Report adds verdicts up.
type Report struct {
	Scenarios, Taken, Whole      int // Taken were accepted, Whole of them with every field in effect
	Accepted, Degraded, Refused  int // resources
	refusals, effectless, single map[string]int
}

// Add counts one verdict. A cause counts once for a scenario.
func (r *Report) Add(v Verdict) {
	if r.refusals == nil {
		r.refusals, r.effectless, r.single = map[string]int{}, map[string]int{}, map[string]int{}
	}
	r.Scenarios++
	r.Accepted, r.Degraded, r.Refused = r.Accepted+v.Accepted, r.Degraded+v.Degraded, r.Refused+v.Refused
	if v.Refused == 0 {
		r.Taken++
		if v.Degraded == 0 {
			r.Whole++
		}
	}
	causes := distinct(v.Refusals)
	for _, c := range causes {
		r.refusals[c]++
	}
	if len(causes) == 1 {
		r.single[causes[0]]++
	}
	for _, c := range distinct(v.Effectless) {
		r.effectless[c]++
	}
}

func distinct(in []string) []string { return slices.Compact(slices.Sorted(slices.Values(in))) }

// Summary is one line of figures.
func (r *Report) Summary() string {
	return fmt.Sprintf("%d of %d scenarios accepted, %d of them in full; resources: %d in full, %d but for fields without effect, %d refused",
		r.Taken, r.Scenarios, r.Whole, r.Accepted, r.Degraded, r.Refused)
}

// String prints the summary and the causes, the most frequent first: how many scenarios have one, and how many only that.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Summary())
	fmt.Fprintln(&b, "\nrefused (scenarios, of them for this alone)")
	for _, c := range ranked(r.refusals) {
		fmt.Fprintf(&b, "%5d %4d  %s\n", r.refusals[c], r.single[c], c)
	}
	fmt.Fprintln(&b, "\nwithout effect (scenarios)")
	for _, c := range ranked(r.effectless) {
		fmt.Fprintf(&b, "%5d       %s\n", r.effectless[c], c)
	}
	return b.String()
}

func ranked(m map[string]int) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(m[b]-m[a], strings.Compare(a, b)) })
}
