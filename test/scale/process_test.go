package scale

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is a proxy under measurement.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *os.File
	at   time.Time // when its program began to run
	done chan struct{}
}

// start runs a proxy with Envoy's own command line. The clock starts when the program itself runs: what is installed as `envoy` may
// be a script that looks for it first.
func start(t *testing.T, name, bin, boot string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: name, log: log, done: make(chan struct{})}
	p.cmd = exec.Command(bin, "-c", boot, "--concurrency", "2", "-l", "error", "--disable-hot-restart")
	p.cmd.Stderr, p.cmd.Stdout = log, log
	p.at = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.done); _ = p.cmd.Wait() }()
	t.Cleanup(p.stop)
	for script(bin) && time.Since(p.at) < 5*time.Second {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.cmd.Process.Pid))
		if strings.HasPrefix(filepath.Base(exe), name) {
			p.at = time.Now()
			break
		}
	}
	return p
}

func script(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [2]byte
	_, _ = f.Read(head[:])
	return string(head[:]) == "#!"
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
	_ = p.log.Close()
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// tail is the end of what it said.
func (p *process) tail() string {
	b, _ := os.ReadFile(p.log.Name())
	return string(b[max(0, len(b)-2000):])
}

// memory gives a line of /proc/PID/status in MiB: VmRSS, VmHWM.
func (p *process) memory(line string) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			n, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return n / 1024
		}
	}
	return 0
}

// cpu is the processor time it used.
func (p *process) cpu() time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// binaries are the proxies that are here.
func binaries(t *testing.T) map[string]string {
	out := map[string]string{}
	weir := os.Getenv("WEIR_BIN")
	if weir == "" {
		weir = filepath.Join(t.TempDir(), "weir")
		build := exec.Command("go", "build", "-trimpath", "-o", weir, "github.com/weirproxy/weir/cmd/weir")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build weir: %v\n%s", err, text)
		}
	}
	out["weir"] = weir
	envoy := os.Getenv("ENVOY_BIN")
	if envoy == "" {
		envoy = "envoy"
	}
	if path, err := exec.LookPath(envoy); err == nil {
		out["envoy"] = path
	}
	return out
}

// freePort gives a port nobody listens on now, below those that connections get by themselves.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
