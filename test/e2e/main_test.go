// Package e2e proves what Weir does as its users meet it: the real program, in
// network namespaces of its own, between real clients and real servers.
//
//	client 10.91.1.2 fd91:1::2 ── gateway (weir) ── server 10.91.2.2 fd91:2::2
//
// Every test makes its own three namespaces, writes the bootstrap it needs, and
// starts the program in the gateway. Files are named by the behaviour they hold.
// Without the right to make namespaces the tests are skipped; `make e2e` fails
// then.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/netns"
)

// built is the program under test, once it was built.
var built = sync.OnceValues(buildWeir)

// builtDir is where it was built; "" when it was not.
var builtDir string

func TestMain(m *testing.M) {
	_ = netns.Enter() // netns.Start repeats the reason
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if builtDir != "" {
			_ = os.RemoveAll(builtDir)
		}
		os.Exit(code)
	}))
}

// buildWeir builds cmd/weir, unless WEIR_BIN names a program.
func buildWeir() (string, error) {
	if bin := os.Getenv("WEIR_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "weir-e2e-")
	if err != nil {
		return "", err
	}
	builtDir = dir
	bin := filepath.Join(dir, "weir")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "../../cmd/weir")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/weir: %w\n%s", err, out)
	}
	return bin, nil
}

// weirBinary gives the program under test.
func weirBinary(t *testing.T) string {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}
