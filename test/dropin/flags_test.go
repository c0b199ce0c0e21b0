package dropin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// values are values of flags, by the flag or else by its type: the first is right,
// the rest is not. (--concurrency -1 is not asked: Envoy makes as many threads as
// that is unsigned, and never ends.)
var values = map[string][]string{
	"component-log-level": {"upstream:debug,config:trace", "upstream", "nothing:info", "upstream:loud"}, "concurrency": {"1", "many"},
	"config-path": {"b.yaml", "none.yaml", "wrong.yaml"}, "config-yaml": {"node: {id: x}", "node: [", "nothing: 1"},
	"disable-extensions": {"envoy.filters.http/envoy.filters.http.fault", "word"}, "drain-strategy": {"immediate", "now"},
	"local-address-ip-version": {"v6", "v5"}, "log-format": {"%v", "%q"}, "log-level": {"warn", "loud"}, "mode": {"validate", "listen"},
	"socket-mode": {"0600", "rw"}, "stats-tag": {"zone:a", "zone", "zo-ne:a", "zone:a.b"},
	"uint32": {"1", "-1", "many"}, "string": {"word"},
}

// TestFlags gives both every flag of Envoy's help in every form, right and wrong,
// with a configuration to validate.
func TestFlags(t *testing.T) {
	probes := flagProbes(t)
	compare(t, "flags", func(t *testing.T, bin string, _ bool) ([]string, map[string]seen) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "b.yaml"), "node: {id: file, cluster: local}\n")
		write(t, filepath.Join(dir, "wrong.yaml"), "node: {id: 7\n")
		ids, all := make([]string, len(probes)), map[string]seen{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		next := make(chan int)
		for range 4 {
			wg.Go(func() {
				for i := range next {
					s, err := runOnce(t.Context(), dir, bin, probes[i])
					mu.Lock()
					ids[i] = strings.Join(probes[i], " ")
					all[ids[i]] = s
					mu.Unlock()
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range probes {
			next <- i
		}
		close(next)
		wg.Wait()
		return ids, all
	})
}

func flagProbes(t *testing.T) (out [][]string) {
	t.Helper()
	list, err := os.ReadFile("../../cmd/weir/testdata/envoy-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(list)) {
		flag, kind, _ := strings.Cut(strings.TrimSpace(l), " ")
		if kind == "" {
			out = append(out, []string{flag}, []string{flag, flag}, []string{flag + "=true"})
			continue
		}
		given := values[strings.TrimPrefix(flag, "--")]
		if given == nil {
			given = values[kind]
		}
		for i, v := range given {
			out = append(out, []string{flag, v})
			if i == 0 {
				out = append(out, []string{flag + "=" + v})
			}
		}
		out = append(out, []string{flag}) // without a value
	}
	return append(out, []string{"--help"}, []string{"-h"}, []string{"-c", "b.yaml"}, []string{"-l", "info"}, []string{"-l", "loud"},
		[]string{"--no-such-flag"}, []string{"--no-such-flag=1"}, []string{"-x"}, []string{"word"}, []string{"--", "word"},
		[]string{"--stats-tag", "a:1", "--stats-tag", "b:2"}, []string{"--stats-tag", "a:1", "--stats-tag", "a:2"},
		[]string{"--use-dynamic-base-id", "--restart-epoch", "1"})
}

var (
	logLine = regexp.MustCompile(`(?m)^\[20.*\n`)
	build   = regexp.MustCompile(`^\S+  version: \S+?/(\S+)/Clean/RELEASE/\S+$`)
)

// runOnce runs a command line that ends by itself: its exit code, what it says on
// standard output, and whether an error names the flag.
func runOnce(ctx context.Context, dir, bin string, probe []string) (seen, error) {
	flag, _, _ := strings.Cut(probe[0], "=")
	args := slices.Clone(probe)
	if flag != "-c" && flag != "--config-path" {
		args = append([]string{"-c", "b.yaml"}, args...)
	}
	if flag != "--mode" {
		args = append([]string{"--mode", "validate"}, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &out, &errs, time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("%s %q: %w", bin, args, errors.Join(ctx.Err(), err))
	}
	code := cmd.ProcessState.ExitCode()
	lines := []string{fmt.Sprintf("exit %d", code)}
	said := logLine.ReplaceAllString(errs.String(), "")
	said, _, _ = strings.Cut(said, "Brief USAGE") // lists every flag
	switch {
	case code != 0:
		if strings.Contains(said, strings.TrimLeft(flag, "-")) || flag == "-l" && strings.Contains(said, "log") {
			lines = append(lines, "names it")
		}
	case flag == "--hot-restart-version":
		lines = append(lines, "err "+strings.TrimSpace(said))
	}
	if flag == "--help" || flag == "-h" {
		if out.Len() > 0 {
			lines = append(lines, "out help")
		}
		return sortedSet(lines), nil
	}
	for l := range strings.Lines(out.String()) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, "out "+build.ReplaceAllString(l, "PROGRAM  version: REVISION/$1/Clean/RELEASE/TLS"))
		}
	}
	return sortedSet(lines), nil
}
