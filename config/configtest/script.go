// Package configtest runs the text scripts that test decoders, and prints models.
package configtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Scripts runs every script that the pattern names. A script is a list of cases; each begins with a line "=== NAME", goes on with
// its input and ends, behind a line "----", with what run makes of the input. With rewrite the results are written instead of
// compared.
func Scripts(t *testing.T, pattern string, rewrite bool, run func(t *testing.T, name, input string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts at %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, cases, _ := strings.Cut(string(text), "=== ")
			out := head
			for _, c := range strings.Split(cases, "\n=== ") {
				name, body, _ := strings.Cut(c, "\n")
				input, want, _ := strings.Cut(body, "----\n")
				got := ""
				t.Run(name, func(t *testing.T) {
					got = strings.TrimSpace(run(t, name, input))
					if want := strings.TrimSpace(want); !rewrite && got != want {
						t.Errorf("(-want +got)\n%s", cmp.Diff(want, got))
					}
				})
				out += "=== " + name + "\n" + strings.TrimSpace(input) + "\n----\n" + got + "\n\n"
			}
			if rewrite {
				if err := os.WriteFile(file, []byte(strings.TrimRight(out, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
