package doctor

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTheTable holds the rows to what Diagnose relies on.
func TestTheTable(t *testing.T) {
	all := Checks()
	at := map[string]int{}
	names := map[string]bool{}
	for i, c := range all {
		if _, twice := at[c.Code]; twice || names[c.Name] {
			t.Errorf("%s %s is there twice", c.Code, c.Name)
		}
		at[c.Code], names[c.Name] = i, true
		if !slices.IsSortedFunc(all[:i+1], func(a, b Check) int { return strings.Compare(a.Code, b.Code) }) {
			t.Errorf("%s is out of order", c.Code)
		}
		if c.run == nil || len(c.Looks) == 0 || c.Level == "" {
			t.Errorf("%s: no function, no parts or no level", c.Code)
		}
		for _, s := range []string{c.Sees, c.Why, c.Fix} {
			if s == "" || strings.HasSuffix(s, ".") {
				t.Errorf("%s: %q: want a phrase without a full stop", c.Code, s)
			}
		}
	}
	// What explains may itself be explained; there is no way round.
	var visit func(code string, seen []string)
	visit = func(code string, seen []string) {
		if slices.Contains(seen, code) {
			t.Fatalf("%v explain each other", append(seen, code))
		}
		i, ok := at[code]
		if !ok {
			t.Fatalf("%s needs %s, which is not there", seen[len(seen)-1], code)
		}
		for _, n := range all[i].Needs {
			visit(n, append(slices.Clone(seen), code))
		}
	}
	for _, c := range all {
		visit(c.Code, nil)
	}
}

// TestDocs holds docs/doctor.md to the table.
func TestDocs(t *testing.T) {
	const path, begin, end = "../../docs/doctor.md", "<!-- checks: written by go test ./proxy/doctor -rewrite -->\n", "\n<!-- end -->"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(b), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", path)
	}
	golden(t, path, head+begin+Markdown()+end+tail)
}
