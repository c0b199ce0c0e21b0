package parity

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorded is what came of a case: each line begins with "  ", "- " (Envoy alone)
// or "+ " (Weir alone).
type recorded []string

func (r recorded) side(not byte) []string {
	var out []string
	for _, l := range r {
		if l[0] != not {
			out = append(out, l[2:])
		}
	}
	return out
}

func (r recorded) envoy() []string { return r.side('+') }
func (r recorded) weir() []string  { return r.side('-') }

// differing gives the lines of one side alone.
func (r recorded) differing() []string {
	return slices.DeleteFunc(slices.Clone(r), func(l string) bool { return l[0] == ' ' })
}

// diff is the shortest recording of both.
func diff(envoy, weir []string) recorded {
	n, m := len(envoy), len(weir)
	common := make([][]int, n+1) // the longest common part of envoy[i:], weir[j:]
	for i := range common {
		common[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if envoy[i] == weir[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out recorded
	for i, j := 0, 0; i < n || j < m; {
		switch {
		case i < n && j < m && envoy[i] == weir[j]:
			out = append(out, "  "+envoy[i])
			i, j = i+1, j+1
		case j == m || i < n && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+envoy[i])
			i++
		default:
			out = append(out, "+ "+weir[j])
			j++
		}
	}
	return out
}

const recordedDir = "testdata/recorded"

// readRecorded gives the recordings by case.
func readRecorded(t *testing.T) map[string]recorded {
	t.Helper()
	files, err := filepath.Glob(recordedDir + "/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]recorded{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		id := ""
		for l := range strings.Lines(string(b)) {
			l = strings.TrimSuffix(l, "\n")
			if name, begins := strings.CutPrefix(l, "== "); begins {
				id = strings.TrimSuffix(filepath.Base(f), ".txt") + "/" + name
				all[id] = recorded{}
			} else if len(l) >= 2 {
				all[id] = append(all[id], l)
			}
		}
	}
	return all
}

// writeRecorded writes a file for each file of cases that was played.
func writeRecorded(t *testing.T, cases []*kase, all map[string]recorded) {
	t.Helper()
	if *only != "" {
		for _, k := range cases {
			t.Logf("%s\n%s", k.id(), strings.Join(all[k.id()], "\n"))
		}
		return
	}
	files := map[string]*strings.Builder{}
	for _, k := range cases {
		b := files[k.file]
		if b == nil {
			b = new(strings.Builder)
			files[k.file] = b
		} else {
			b.WriteByte('\n')
		}
		b.WriteString("== " + k.name + "\n")
		for _, l := range all[k.id()] {
			b.WriteString(l + "\n")
		}
	}
	stale, _ := filepath.Glob(recordedDir + "/*.txt")
	for _, f := range stale {
		if files[strings.TrimSuffix(filepath.Base(f), ".txt")] == nil {
			_ = os.Remove(f)
		}
	}
	for file, b := range files {
		if err := os.WriteFile(filepath.Join(recordedDir, file+".txt"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
