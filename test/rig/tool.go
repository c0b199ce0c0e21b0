package rig

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Tool builds a command of tools/go.mod, named by its package, and gives its path.
// Without a go command the test is skipped.
func Tool(t testing.TB, pkg string) string {
	t.Helper()
	gocmd := Command(t, "go")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("tools/go.mod is not above the test's folder")
		}
		dir = up
	}
	// -n prints the path of what it has built into the cache.
	cmd := exec.Command(gocmd, "tool", "-n", pkg)
	cmd.Dir = filepath.Join(dir, "tools")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// Command finds a program; the test is skipped where it is not installed.
func Command(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// Run runs a program to its end, within a time, and gives all that it printed.
func Run(t testing.TB, limit time.Duration, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(out), err
}
