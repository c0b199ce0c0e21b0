package dropin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorded is what both saw: each line begins with "  ", "- " (Envoy alone) or
// "+ " (Weir alone).
type recorded []string

func (r recorded) side(not byte) (out seen) {
	for _, l := range r {
		if l[0] != not {
			out = append(out, l[2:])
		}
	}
	return out
}

func (r recorded) envoy() seen { return r.side('+') }
func (r recorded) weir() seen  { return r.side('-') }

// merge joins two sorted sets of lines.
func merge(envoy, weir seen) (out recorded) {
	for len(envoy) > 0 || len(weir) > 0 {
		switch {
		case len(weir) == 0 || len(envoy) > 0 && envoy[0] < weir[0]:
			out, envoy = append(out, "- "+envoy[0]), envoy[1:]
		case len(envoy) == 0 || weir[0] < envoy[0]:
			out, weir = append(out, "+ "+weir[0]), weir[1:]
		default:
			out, envoy, weir = append(out, "  "+weir[0]), envoy[1:], weir[1:]
		}
	}
	return out
}

// difference is empty when both are equal.
func difference(was, now seen) string {
	var b strings.Builder
	for _, l := range merge(was, now) {
		if l[0] != ' ' {
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}

func path(file string) string { return filepath.Join("testdata/recorded", file+".txt") }

func readRecorded(t *testing.T, file string) map[string]recorded {
	t.Helper()
	out := map[string]recorded{}
	b, err := os.ReadFile(path(file))
	if errors.Is(err, fs.ErrNotExist) && (*record || *rewrite) {
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(b), "\n\n") {
		head, rest, _ := strings.Cut(strings.TrimRight(block, "\n"), "\n")
		id, ok := strings.CutPrefix(head, "== ")
		if !ok {
			t.Fatalf("%s: %q begins no probe", path(file), head)
		}
		if rest != "" {
			out[id] = strings.Split(rest, "\n")
		} else {
			out[id] = recorded{}
		}
	}
	return out
}

func writeRecorded(t *testing.T, file string, ids []string, all map[string]recorded) {
	t.Helper()
	var blocks []string
	for _, id := range ids {
		blocks = append(blocks, strings.Join(append([]string{"== " + id}, all[id]...), "\n"))
	}
	if err := os.WriteFile(path(file), []byte(strings.Join(blocks, "\n\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sortedSet makes lines what a probe saw.
func sortedSet(lines []string) seen {
	slices.Sort(lines)
	return slices.Compact(lines)
}
