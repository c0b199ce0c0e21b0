// Package planes holds Weir against real control planes, which are told nothing of it: Envoy Gateway starts it as its Envoy, and
// Istio's discovery server sends it what it sends to a sidecar and to a gateway. `make e2e-controlplanes` builds them and runs this;
// without WEIR_PLANES, the folder of their programs, every test is skipped. They listen on ports of their own on this machine.
package planes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// builtDir is where Weir was built; "" when it was not.
var builtDir string

// built is the program under test.
var built = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("WEIR_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "weir-planes-")
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
})

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if builtDir != "" {
			_ = os.RemoveAll(builtDir)
		}
		os.Exit(code)
	}))
}

// weir gives the program under test.
func weir(t *testing.T) string {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// plane gives a control plane's program, or skips the test.
func plane(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("WEIR_PLANES")
	if dir == "" {
		t.Skip("WEIR_PLANES names no folder of control planes: make e2e-controlplanes")
	}
	bin := filepath.Join(dir, name)
	if _, err := os.Stat(bin); err != nil {
		t.Fatal(err)
	}
	return bin
}
