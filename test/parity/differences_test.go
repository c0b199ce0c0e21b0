package parity

import (
	"bytes"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A difference is one reason why lines differ.
type difference struct {
	What  string   `yaml:"what"`  // in one line
	Right string   `yaml:"right"` // weir, envoy, either
	Why   string   `yaml:"why"`   // with the RFC's or Envoy's words' place
	Doc   string   `yaml:"doc"`   // how docs/differences-from-envoy.md calls it
	Cases []string `yaml:"cases"` // names, or patterns of path.Match, with | for a slash inside a name; every one must differ
	Lines []string `yaml:"lines"` // which lines, as regular expressions; all when there are none
}

// judge holds the recordings to differences.yaml. What it says of cases that Weir
// is asked later is not held to anything.
func judge(t *testing.T, all map[string]recorded, later func(id string) bool) {
	t.Helper()
	b, err := os.ReadFile("differences.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []difference
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		t.Fatalf("differences.yaml: %v", err)
	}
	explained := map[string]map[string]bool{} // case → line
	for id := range all {
		explained[id] = map[string]bool{}
	}
	for _, d := range list {
		d.check(t)
		for _, pattern := range d.Cases {
			n := 0
			for id, r := range all {
				if !named(pattern, id) {
					continue
				}
				if later(id) {
					n++
					continue
				}
				for _, l := range r.differing() {
					if d.covers(t, l) {
						explained[id][l] = true
						n++
					}
				}
			}
			if n == 0 {
				t.Errorf("differences.yaml: %q: %s shows no such difference", d.What, pattern)
			}
		}
	}
	for id, r := range all {
		if later(id) {
			continue
		}
		var unexplained []string
		for _, l := range r.differing() {
			if !explained[id][l] {
				unexplained = append(unexplained, l)
			}
		}
		if len(unexplained) > 0 {
			t.Errorf("%s: differences.yaml does not explain\n%s", id, strings.Join(unexplained, "\n"))
		}
	}
}

// named tells whether a pattern names a case.
func named(pattern, id string) bool {
	file, name, _ := strings.Cut(id, "/")
	id = file + "/" + strings.ReplaceAll(name, "/", "|")
	fits, err := path.Match(pattern, id)
	return fits && err == nil || pattern == id
}

func (d *difference) covers(t *testing.T, l string) bool {
	for _, x := range d.Lines {
		re, err := regexp.Compile(x)
		if err != nil {
			t.Fatalf("differences.yaml: %q: %v", d.What, err)
		}
		if re.MatchString(l) {
			return true
		}
	}
	return len(d.Lines) == 0
}

// check holds an entry to its form, and its doc to the page.
func (d *difference) check(t *testing.T) {
	t.Helper()
	if d.What == "" || d.Why == "" || len(d.Cases) == 0 || !slices.Contains([]string{"weir", "envoy", "either"}, d.Right) {
		t.Errorf("differences.yaml: %q: what, why, cases and right (weir, envoy, either) are needed", d.What)
	}
	page, err := os.ReadFile("../../docs/differences-from-envoy.md")
	if err != nil {
		t.Fatal(err)
	}
	if d.Doc == "" || !strings.Contains(string(page), "\n| "+d.Doc+" |") {
		t.Errorf("differences.yaml: %q: docs/differences-from-envoy.md has no row %q", d.What, d.Doc)
	}
}
