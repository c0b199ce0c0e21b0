package dropin

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
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

// start runs a proxy and waits until it is ready at the admin socket.
func start(t *testing.T, bin, admin string, args ...string) *process {
	t.Helper()
	p := &process{ended: make(chan error, 1)}
	p.cmd = exec.Command(bin, args...)
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
	p.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", admin)
		},
	}}
	p.until(t, "be ready", func() bool {
		status, _, _, err := p.ask("GET", "/ready")
		return err == nil && status == http.StatusOK
	})
	return p
}

// ask asks the admin interface.
func (p *process) ask(method, target string) (int, http.Header, string, error) {
	u, err := url.Parse("http://admin" + target)
	if err != nil {
		return 0, nil, "", err
	}
	resp, err := p.client.Do(&http.Request{Method: method, URL: u, Header: http.Header{}})
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(b), err
}

func (p *process) get(t *testing.T, target string) string {
	t.Helper()
	_, _, body, err := p.ask("GET", target)
	if err != nil {
		t.Fatal(err)
	}
	return body
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

// wait is the exit code, once the process has been told to end.
func (p *process) wait(t *testing.T) int {
	t.Helper()
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
	return p.cmd.ProcessState.ExitCode()
}

// folder makes a folder with the files of testdata that a run needs. Paths of
// unix sockets are short, so it is not the test's own.
func folder(t *testing.T, origin int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dropin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, name := range []string{"bootstrap.yaml", "cds.yaml", "lds.yaml"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("$DIR", dir, "$ORIGIN", fmt.Sprint(origin)).Replace(string(b))
		write(t, filepath.Join(dir, name), text)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1 << 40), Subject: pkix.Name{CommonName: "dropin"}, DNSNames: []string{"dropin.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
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
