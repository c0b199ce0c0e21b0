package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var rewrite = flag.Bool("rewrite", false, "write what the program says into testdata and docs")

// TestMain also lets the test's own binary stand for weir in tests that need a
// process.
func TestMain(m *testing.M) {
	if os.Getenv("WEIR_TEST_MAIN") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// weir runs a command line that ends by itself.
func weir(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

// golden compares a text with a file, or writes it with -rewrite.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the program says now (go test ./cmd/weir -rewrite):\n%s", path, difference(string(want), got))
	}
}

// difference shows the first line that differs.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return "- " + a + "\n+ " + b
		}
	}
	return ""
}

func TestValidateGolden(t *testing.T) {
	t.Chdir("testdata/validate")
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no input", err)
	}
	for _, f := range files {
		t.Run(f, func(t *testing.T) {
			code, out, errs := weir(t, "validate", "-c", f)
			text := "exit " + string(rune('0'+code)) + "\n-- output\n" + out + "-- errors\n" + errs
			golden(t, strings.TrimSuffix(f, ".yaml")+".txt", text)
			if m, _, _ := weir(t, "--mode", "validate", "-c", f); m != code {
				t.Errorf("--mode validate: exit %d", m)
			}
		})
	}
}

func TestInterceptPlanGolden(t *testing.T) {
	code, out, errs := weir(t, "intercept", "plan", "--ports", "80,443", "--interface", "eth0", "--port", "15001", "--exclude-cidrs", "10.0.0.0/8")
	if code != 0 {
		t.Fatal(errs)
	}
	golden(t, "testdata/plan.txt", out)
	if _, same, _ := weir(t, "intercept", "plan", "--ports", "80,443", "--intercept-interface", "eth0", "--intercept-port", "15001", "--intercept-exclude-cidrs", "10.0.0.0/8"); same != out {
		t.Error("the names of the proxy's own flags give another plan")
	}
	code, _, errs = weir(t, "intercept", "plan", "--on-down", "explode", "--cidrs", "nowhere", "--exclude-ports", "x")
	if code != 1 || strings.Count(errs, "--intercept-") != 3 {
		t.Errorf("three mistakes: exit %d\n%s", code, errs)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, _ := weir(t, "completion", shell); code != 0 || !strings.Contains(out, "weir") {
			t.Errorf("%s: exit %d", shell, code)
		}
	}
	if code, out, _ := weir(t, "__complete", "intercept", ""); code != 0 || !strings.Contains(out, "plan\t") {
		t.Errorf("intercept completes to %q", out)
	}
}
