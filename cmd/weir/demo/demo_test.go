package demo

import (
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/weirproxy/weir/config/yamlproto"
)

// TestReadmeTellsTheStory holds the README's transcript to the demo's steps.
func TestReadmeTellsTheStory(t *testing.T) {
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := string(b)
	for _, s := range append(steps, step{name: "Nothing is left behind"}) {
		_, after, ok := strings.Cut(rest, "\n✓ "+s.name+"\n")
		if !ok {
			t.Fatalf("README.md lacks, at its place in the story: ✓ %s\nrun: make demo, and copy what it prints", s.name)
		}
		rest = after
	}
}

// TestResourcesAreValid reads the demo's configuration as the control plane does.
func TestResourcesAreValid(t *testing.T) {
	var b strings.Builder
	if err := template.Must(template.New("").Parse(resources)).Execute(&b, shares{V1: 1, V2: 1, Breaker: true}); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(b.String(), "invalid IP", "192.0.2.1")
	if _, err := yamlproto.UnmarshalResources([]byte(text), yamlproto.Options{File: "resources.yaml"}); err != nil {
		t.Error(err)
	}
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		got, want float64
		n         int
		ok        bool
	}{{10, 10, 2000, true}, {12, 10, 2000, true}, {14, 10, 2000, false}, {50, 10, 2000, false}, {47, 50, 2000, true}, {40, 50, 2000, false}} {
		if got := near(c.got, c.want, c.n); got != c.ok {
			t.Errorf("near(%v, %v, %d) = %v", c.got, c.want, c.n, got)
		}
	}
}
