package stats

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ownScopes are the scopes of the recording whose names have dots in them: the
// code that makes them passes them whole.
var ownScopes = []string{
	"listener.127.0.0.1_29180.", "listener.[__1]_29182.",
}

// TestTagsMatchEnvoy compares names and labels with what Envoy itself made of
// the same statistics. See testdata/envoy-1.40/README.md.
func TestTagsMatchEnvoy(t *testing.T) {
	s := NewStore()
	want := make(map[string]bool)
	skip := make(map[string]bool) // metrics with values beyond an int64
	for line := range strings.Lines(read(t, "stats.txt")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		sc := s.Scope("")
		for _, own := range ownScopes {
			if rest, ok := strings.CutPrefix(name, own); ok {
				sc, name = s.Scope(own), rest
			}
		}
		if strings.HasPrefix(value, "P0") || value == "No recorded values" {
			sc.Histogram(name)
			continue
		}
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			skip[name[strings.LastIndexByte(name, '.')+1:]] = true
			continue
		}
		sc.Gauge(name)
	}
	for line := range strings.Lines(read(t, "stats.prom")) {
		if metric, _, _ := strings.Cut(line, "{"); !anySuffix(metric, skip) {
			add(want, line)
		}
	}
	var b bytes.Buffer
	if err := s.WritePrometheus(&b, Filter{}); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for line := range strings.Lines(b.String()) {
		add(got, line)
	}
	if len(want) < 500 {
		t.Fatalf("only %d series in the recording", len(want))
	}
	for _, line := range slices.Sorted(maps.Keys(want)) {
		if !got[line] {
			t.Errorf("Envoy only: %s", line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(got)) {
		if !want[line] {
			t.Errorf("ours only:  %s", line)
		}
	}
}

// add adds the series of a line, without its value; of histograms only _count.
func add(series map[string]bool, line string) {
	if !strings.HasPrefix(line, "#") && !strings.Contains(line, "_bucket{") && !strings.Contains(line, "_sum{") {
		series[line[:strings.LastIndexByte(line, '}')+1]] = true
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "envoy-1.40", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func anySuffix(s string, suffixes map[string]bool) bool {
	for suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}
