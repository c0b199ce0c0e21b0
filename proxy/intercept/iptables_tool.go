package intercept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-iptables/iptables"
)

const (
	// toolTimeout is far beyond what a transaction takes; lockWait, in seconds, what
	// iptables-legacy waits for another program to let go of its lock.
	toolTimeout = 20 * time.Second
	lockWait    = "10"
)

// iptTool is one of the two kinds of programs: iptables-nft keeps its rules in
// nftables, iptables-legacy in the tables of old.
type iptTool struct {
	legacy bool
	infix  string // of program names: "", "-nft" or "-legacy"
}

// backend is the name that always means this kind.
func (t iptTool) backend() Backend {
	if t.legacy {
		return IPTablesLegacy
	}
	return IPTablesNFT
}

// findTool looks for the programs of a backend: those whose name says which kind
// they are, or iptables, if that is of the kind.
func findTool(b Backend) (iptTool, error) {
	infix := strings.TrimPrefix(b.String(), "iptables")
	if infix != "" {
		if _, err := lookTool("iptables" + infix + "-restore"); err == nil {
			return iptTool{b == IPTablesLegacy, infix}, nil
		}
	}
	path, err := lookTool("iptables")
	if err != nil {
		return iptTool{}, fmt.Errorf("%s is not installed: %w", b, err)
	}
	// It runs the program once, and knows what versions can do.
	ipt, err := iptables.New(iptables.Path(path))
	if err != nil {
		return iptTool{}, fmt.Errorf("ask iptables for its version: %w", err)
	}
	if v1, v2, v3 := ipt.GetIptablesVersion(); v1 < 1 || v1 == 1 && (v2 < 6 || v2 == 6 && v3 < 2) {
		return iptTool{}, fmt.Errorf("iptables %d.%d.%d is too old: iptables-restore waits for others only since 1.6.2", v1, v2, v3)
	}
	t := iptTool{legacy: true}
	ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
	defer cancel()
	if out, err := exec.CommandContext(ctx, path, "--version").Output(); err == nil && bytes.Contains(out, []byte("nf_tables")) {
		t.legacy = false
	}
	if b != IPTables && t.backend() != b {
		return iptTool{}, fmt.Errorf("%s is not installed: iptables is %s", b, t.backend())
	}
	return t, nil
}

// program is a program's name, e.g. ip6tables-nft-save.
func (t iptTool) program(v6 bool, what string) string {
	if v6 {
		return "ip6tables" + t.infix + "-" + what
	}
	return "iptables" + t.infix + "-" + what
}

// run runs a program in the calling thread's namespace.
func (t iptTool) run(stdin string, v6 bool, what string, args ...string) (string, error) {
	name := t.program(v6, what)
	path, err := lookTool(name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("%s: %w: %s", name, err, firstLine(errs.String()))
	}
	return out.String(), nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// lookTool finds a program also where a service's PATH may lack sbin.
func lookTool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, e := exec.LookPath(filepath.Join(dir, name)); e == nil {
			return path, nil
		}
	}
	return "", errors.Unwrap(err)
}
