// Package controlplane runs Weir, the process, under real control planes.
//
// One is go-control-plane's own integration driver, with Weir where Envoy stands: the driver of the version that go.mod names, with its
// own bootstrap samples, as upstream's scripts/integration.sh runs them. Each mode has a network namespace of its own, as driver and
// samples have fixed ports.
package controlplane

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/netns"
)

// built is where the programs go; "" before.
var built struct {
	dir          string
	weir, driver sync.Once
	err          error // of weir
	driverErr    error
}

func TestMain(m *testing.M) {
	_ = netns.Enter() // newWorld repeats the reason
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
		os.Exit(code)
	}))
}

const controlPlane = "github.com/envoyproxy/go-control-plane"

// rateLimitModule is needed by the driver alone, so go.mod does not have it: version and checksums of what go-control-plane v0.14 asks for.
const (
	rateLimitModule = "\nrequire " + controlPlane + "/ratelimit v0.1.0 // indirect\n"
	rateLimitSums   = controlPlane + "/ratelimit v0.1.0 h1:/G9QYbddjL25KvtKTv3an9lx6VBE2cnb8wp1vEGNYGI=\n" +
		controlPlane + "/ratelimit v0.1.0/go.mod h1:Wk+tMFAFbCXaJPzVVHnPgRKdUdwW/KdbRt94AzgRee4=\n"
)

// buildWeir builds Weir, and makes the folder.
func buildWeir() error {
	built.weir.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "weir-controlplane-"); built.err == nil {
			built.err = goBuild("weir", "github.com/weirproxy/weir/cmd/weir")
		}
	})
	return built.err
}

// buildDriver builds the driver.
func buildDriver() error {
	built.driver.Do(func() {
		mod := filepath.Join(built.dir, "driver.mod")
		for _, f := range []struct{ from, to, more string }{
			{"../../go.mod", mod, rateLimitModule}, {"../../go.sum", filepath.Join(built.dir, "driver.sum"), rateLimitSums},
		} {
			b, err := os.ReadFile(f.from)
			if err == nil {
				err = os.WriteFile(f.to, append(b, f.more...), 0o600)
			}
			if err != nil {
				built.driverErr = err
				return
			}
		}
		built.driverErr = goBuild("driver", controlPlane+"/pkg/test/main", "-modfile="+mod)
	})
	return built.driverErr
}

func goBuild(name, pkg string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-o", filepath.Join(built.dir, name)}, flags...)
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// sample is the path of upstream's bootstrap for a mode.
func sample(t *testing.T, mode string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", controlPlane).Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "sample", "bootstrap-"+mode+".yaml")
}
