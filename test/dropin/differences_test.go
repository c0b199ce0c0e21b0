package dropin

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A reason is why lines differ.
type reason struct {
	What   string   `yaml:"what"`   // in one line
	Why    string   `yaml:"why"`    // …
	Files  []string `yaml:"files"`  // of testdata/recorded, without .txt
	Probes []string `yaml:"probes"` // regular expressions of whole names; all when there are none
	Lines  []string `yaml:"lines"`  // regular expressions of whole lines, with their "- " or "+ "; all when there are none
}

// judge holds a recording to differences.yaml.
func judge(t *testing.T, file string, all map[string]recorded) {
	t.Helper()
	b, err := os.ReadFile("differences.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []reason
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		t.Fatalf("differences.yaml: %v", err)
	}
	explained := map[string]map[string]bool{} // probe → line
	for id := range all {
		explained[id] = map[string]bool{}
	}
	for _, r := range list {
		if r.What == "" || r.Why == "" || len(r.Files) == 0 {
			t.Errorf("differences.yaml: %q: what, why and files are needed", r.What)
		}
		if !any1(r.Files, func(f string) bool { return f == file }) {
			continue
		}
		probes, lines := whole(t, r.Probes), whole(t, r.Lines)
		used := make([]bool, len(lines))
		n := 0
		for id, rec := range all {
			if len(probes) > 0 && !any1(probes, func(p *regexp.Regexp) bool { return p.MatchString(id) }) {
				continue
			}
			for _, l := range rec {
				if l[0] == ' ' {
					continue
				}
				if len(lines) == 0 {
					explained[id][l], n = true, n+1
				}
				for i, x := range lines {
					if x.MatchString(l) {
						explained[id][l], used[i], n = true, true, n+1
					}
				}
			}
		}
		if n == 0 {
			t.Errorf("differences.yaml: %q: nothing in %s differs so", r.What, file)
			continue
		}
		for i := range used {
			if !used[i] && len(r.Files) == 1 {
				t.Errorf("differences.yaml: %q: no line of %s is %s", r.What, file, r.Lines[i])
			}
		}
	}
	for id, rec := range all {
		var open []string
		for _, l := range rec {
			if l[0] != ' ' && !explained[id][l] {
				open = append(open, l)
			}
		}
		if len(open) > 0 {
			t.Errorf("%s %s: differences.yaml does not explain\n%s", file, id, strings.Join(open, "\n"))
		}
	}
}

func whole(t *testing.T, exprs []string) (out []*regexp.Regexp) {
	for _, x := range exprs {
		re, err := regexp.Compile(`^(?:` + x + `)$`)
		if err != nil {
			t.Fatalf("differences.yaml: %v", err)
		}
		out = append(out, re)
	}
	return out
}

func any1[T any](list []T, is func(T) bool) bool {
	for _, x := range list {
		if is(x) {
			return true
		}
	}
	return false
}
