package parity

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is a proxy under test.
type process struct {
	cmd    *exec.Cmd
	out    bytes.Buffer
	ended  chan error
	client *http.Client
}

// start runs a proxy with a bootstrap and waits until it is ready.
func start(t *testing.T, bin, config, admin string, args ...string) *process {
	t.Helper()
	p := &process{ended: make(chan error, 1)}
	p.cmd = exec.Command(bin, append([]string{"-c", config, "-l", "error", "--disable-hot-restart"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // the signal comes when this thread ends
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.ended <- p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // does nothing to one that has ended
		p.ended <- <-p.ended
	})
	p.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", admin)
		},
	}}
	p.until(t, "be ready", func() bool {
		status, _, err := p.admin("/ready")
		return err == nil && status == http.StatusOK
	})
	return p
}

func (p *process) admin(path string) (int, string, error) {
	resp, err := p.client.Get("http://admin" + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// until asks again and again; the proxy must not end meanwhile.
func (p *process) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case err := <-p.ended:
			p.ended <- err
			t.Fatalf("%s ended (%v) before it could %s:\n%s", p.cmd.Path, err, what, p.out.String())
		case <-end.C:
			_ = p.cmd.Process.Kill()
			t.Fatalf("%s did not %s", p.cmd.Path, what)
		}
	}
}

// stop ends the proxy once it has no connection, so that its logs are whole.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.until(t, "lose its connections", func() bool {
		_, text, err := p.admin("/stats?filter=" + `http.*\.downstream_cx_active$`)
		if err != nil {
			return false
		}
		for l := range strings.Lines(text) {
			name, n, _ := strings.Cut(strings.TrimSpace(l), ": ")
			if !strings.HasPrefix(name, "http.admin.") && n != "0" {
				return false
			}
		}
		return true
	})
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	end := time.NewTimer(10 * time.Second)
	defer end.Stop()
	select {
	case err := <-p.ended:
		p.ended <- err
	case <-end.C:
		_ = p.cmd.Process.Kill()
		p.ended <- <-p.ended
		t.Errorf("%s did not end", p.cmd.Path)
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("%s said:\n%s", filepath.Base(p.cmd.Path), p.out.String())
	}
}

// buildWeir builds cmd/weir, unless WEIR_BIN names a program.
func buildWeir(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("WEIR_BIN"); bin != "" {
		return bin
	}
	bin := filepath.Join(t.TempDir(), "weir")
	cmd := exec.Command("go", "build", "-o", bin, "../../cmd/weir")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build cmd/weir: %v\n%s", err, out)
	}
	return bin
}

// envoy finds the program to compare with.
func envoy() (string, error) {
	bin := os.Getenv("ENVOY_BIN")
	if bin == "" {
		bin = "envoy"
	}
	path, err := exec.LookPath(bin)
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w: %s", path, err, out)
	}
	if !bytes.Contains(out, []byte("/"+version+".")) {
		return "", fmt.Errorf("%s is not Envoy %s: %s", path, version, bytes.TrimSpace(out))
	}
	return path, nil
}
