package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirproxy/weir/test/netns"
)

// tools is what an operator sees of the gateway's network; empty without the tools.
func (w *world) tools() string {
	w.t.Helper()
	var b strings.Builder
	for _, args := range [][]string{
		{"nft", "list", "ruleset"},
		{"ip", "-4", "rule"},
		{"ip", "-6", "rule"},
		{"ip", "-4", "route", "show", "table", "all"},
		{"sysctl", "net.ipv4.conf.lan0.rp_filter"},
	} {
		if _, err := exec.LookPath(args[0]); err != nil {
			continue
		}
		out, err := w.top.Gateway.Command(context.Background(), args[0], args[1:]...).CombinedOutput()
		if err != nil {
			w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		b.WriteString(strings.Join(args, " ") + "\n" + string(out))
	}
	return b.String()
}

// gone waits until no process has these words in its command line.
func (w *world) gone(words ...string) {
	w.t.Helper()
	w.until("no process "+strings.Join(words, " "), func() error {
		files, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), strings.Join(words, "\x00")+"\x00") {
				return errors.New(f)
			}
		}
		return nil
	})
}

func TestUpIsTakenBackUnlessConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := "e2e-" + strings.ToLower(strings.TrimPrefix(filepath.Base(w.dir), "weir-e2e-"))
	weir := func(want int, args ...string) {
		t.Helper()
		if out, code := w.run(append([]string{"intercept"}, args...)...); code != want {
			t.Errorf("%s: %d, want %d\n%s", args, code, want, out)
		}
	}
	is := func(state, tools string) func() error {
		return func() error {
			if w.network() != state || w.tools() != tools {
				return errors.New("something is different")
			}
			return nil
		}
	}
	up := []string{"up", "--name", name, "--interface", netns.ClientLink, "--sysctl", "net.ipv4.conf.lan0.rp_filter=2"}
	nothing, nothingTools := w.network(), w.tools()
	if strings.Contains(nothingTools, "rp_filter = 2") {
		t.Fatal("the setting to change is there already")
	}

	// Nobody confirms: all is as it was.
	weir(0, append(up, "--confirm", "300ms")...)
	w.until("all is taken back", is(nothing, nothingTools))
	weir(3, "confirm", "--name", name)

	// It is confirmed, and stays.
	weir(0, append(up, "--ports", "80", "--confirm", "1h")...)
	weir(0, "confirm", "--name", name)
	w.gone("rollback", "--name", name)
	weir(3, "confirm", "--name", name)
	first, firstTools := w.network(), w.tools()
	if first == nothing {
		t.Fatal("nothing is installed")
	}
	weir(0, append(up, "--ports", "80")...) // once more changes nothing
	if err := is(first, firstTools)(); err != nil {
		t.Errorf("up twice: %v", err)
	}

	// A change of what is there is taken back to it, also when it was changed twice.
	weir(0, append(up, "--ports", "443", "--confirm", "1h")...)
	weir(0, append(up, "--ports", "444", "--confirm", "300ms")...)
	w.until("the first rules are back", is(first, firstTools))
	w.gone("rollback", "--name", name)

	// Nothing comes back after down.
	weir(0, append(up, "--ports", "443", "--confirm", "1h")...)
	for range 2 {
		weir(0, "down", "--name", name)
		w.gone("rollback", "--name", name)
		if err := is(nothing, nothingTools)(); err != nil {
			t.Errorf("down: %v\n%s", err, w.tools())
		}
	}
}
