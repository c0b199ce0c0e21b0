package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMatchingAllocatesNothing asks each script's questions again, with the input's memory grown.
func TestMatchingAllocatesNothing(t *testing.T) {
	files, err := filepath.Glob("testdata/match/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		yaml, questions, _ := strings.Cut(string(text), "\n----\n")
		tree := compile(t, yaml)
		for line := range strings.Lines(questions) {
			q, _, ok := strings.Cut(line, "->")
			if !ok {
				continue
			}
			in := &Input{}
			fill(t, in, strings.Fields(strings.TrimPrefix(q, "explain")))
			if n := testing.AllocsPerRun(20, func() { tree.Match(in, nil) }); n != 0 {
				t.Errorf("%s: %s: %v allocations", file, q, n)
			}
		}
	}
}
