package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
	"github.com/weirproxy/weir/test/rig"
)

// patience bounds every wait for what should happen at once.
const patience = 10 * time.Second

// A world is a test's own client, gateway and server.
type world struct {
	t   *testing.T
	top *netns.Topology
	dir string // bootstraps, admin socket, logs
}

// newWorld makes the namespaces; all is gone when the test ends.
func newWorld(t *testing.T) *world {
	t.Helper()
	netns.Require(t)
	weirBinary(t)
	top := netns.Start(t, netns.Options{})
	dir, err := os.MkdirTemp("", "weir-e2e-") // short: the path of a unix socket has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &world{t: t, top: top, dir: dir}
}

// expand replaces the short names (rig.Expand), and $dir by the test's directory.
func (w *world) expand(text string) string {
	return strings.ReplaceAll(rig.Expand(text), "$dir", w.dir)
}

// takeAll are the flags that intercept every TCP connection of the client's.
var takeAll = []string{"--intercept", "all", "--intercept-interface", netns.ClientLink, "--intercept-reply-spoofed"}

// A process is a running Weir.
type process struct {
	w    *world
	cmd  *netns.Cmd
	log  *logBuffer
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read after done

	mayFail  bool // the test itself looks at how it ended
	mayPanic bool // … and asked for it
}

// spawn starts Weir in the gateway with nothing added to its arguments.
func (w *world) spawn(args ...string) *process {
	w.t.Helper()
	p := &process{w: w, log: &logBuffer{}, done: make(chan struct{})}
	p.cmd = w.top.Gateway.Command(context.Background(), weirBinary(w.t), args...)
	p.cmd.Env = w.env()
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	w.t.Cleanup(p.cleanup)
	return p
}

// start writes a bootstrap, with an admin socket, starts Weir with it and waits
// until it serves. By default what drains is not waited for.
func (w *world) start(boot string, args ...string) *process {
	w.t.Helper()
	p := w.launch(boot, args...)
	p.waitReady()
	return p
}

// launch is start without the waiting.
func (w *world) launch(boot string, args ...string) *process {
	w.t.Helper()
	path := filepath.Join(w.dir, "bootstrap.yaml")
	boot = fmt.Sprintf("admin: {address: {pipe: {path: %s, mode: 384}}}\n", w.socket()) + w.expand(boot)
	if err := os.WriteFile(path, []byte(boot), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.spawn(append([]string{"-c", path, "--drain-time-s", "5", "--drain-strategy", "immediate"}, args...)...)
}

// env keeps what Weir writes down about its rules in the test's own directory.
func (w *world) env() []string { return append(os.Environ(), "RUNTIME_DIRECTORY="+w.dir) }

// socket is the path of the admin socket.
func (w *world) socket() string { return filepath.Join(w.dir, "admin.sock") }

func (p *process) waitReady() {
	p.w.t.Helper()
	p.w.until("weir is ready", func() error {
		select {
		case <-p.done:
			p.w.t.Fatalf("weir ended: %v", p.err)
		default:
		}
		body, err := p.w.admin("/ready")
		if err == nil && body != "LIVE\n" {
			err = fmt.Errorf("state %q", body)
		}
		return err
	})
}

// signal sends a signal.
func (p *process) signal(s unix.Signal) {
	p.w.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.w.t.Fatal(err)
	}
}

// wait waits until Weir has ended and gives its exit code, -1 of a signal.
func (p *process) wait() int {
	p.w.t.Helper()
	t := time.NewTimer(2 * patience)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.w.t.Fatalf("weir runs on")
	}
	p.mayFail = true
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		p.w.t.Fatal(p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends Weir as a service manager does, and holds it to exit code 0.
func (p *process) stop() {
	p.w.t.Helper()
	p.signal(unix.SIGTERM)
	if code := p.wait(); code != 0 {
		p.w.t.Errorf("weir ended with %d", code)
	}
}

// kill ends Weir as nothing else would.
func (p *process) kill() {
	p.w.t.Helper()
	p.signal(unix.SIGKILL)
	p.wait()
}

// cleanup ends Weir, if it runs, and shows its log if the test failed.
func (p *process) cleanup() {
	t := p.w.t
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(unix.SIGTERM)
		timer := time.NewTimer(2 * patience)
		select {
		case <-p.done:
		case <-timer.C:
			t.Error("weir does not end when asked; its goroutines follow")
			_ = p.cmd.Process.Signal(unix.SIGQUIT)
			<-p.done
		}
		timer.Stop()
		if p.err != nil {
			t.Errorf("weir ended: %v", p.err)
		}
	}
	log := p.log.String()
	if !p.mayPanic && strings.Contains(log, "panic") || strings.Contains(log, "DATA RACE") {
		t.Error("weir panicked")
	}
	if t.Failed() {
		t.Logf("weir %s\n%s", strings.Join(p.cmd.Args[1:], " "), tail(log, 16<<10))
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// run runs a weir command in the gateway to its end.
func (w *world) run(args ...string) (out string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c := w.top.Gateway.Command(ctx, weirBinary(w.t), args...)
	c.Dir, c.Env = w.dir, w.env()
	b, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return string(b), c.ProcessState.ExitCode()
}

// logBuffer takes what Weir prints.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String gives all so far.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waitLog waits for a line that has all the words.
func (p *process) waitLog(words ...string) {
	p.w.t.Helper()
	p.w.until(fmt.Sprintf("the log has a line with %q", words), func() error {
		for line := range strings.Lines(p.log.String()) {
			if !slices.ContainsFunc(words, func(x string) bool { return !strings.Contains(line, x) }) {
				return nil
			}
		}
		return errors.New("no such line")
	})
}

// pollEvery is how often until asks.
const pollEvery = 5 * time.Millisecond

// until waits until cond gives nil.
func (w *world) until(what string, cond func() error) {
	w.t.Helper()
	if err := eventually(patience, cond); err != nil {
		w.t.Fatalf("waited %s until %s: %v", patience, what, err)
	}
}

// eventually waits until cond gives nil; after limit it gives cond's last error.
func eventually(limit time.Duration, cond func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); ; <-tick.C {
		err := cond()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// at4 and at6 are addresses of the server.
func (w *world) at4(port string) string { return net.JoinHostPort(w.top.ServerAddr4().String(), port) }

func (w *world) at6(port string) string { return net.JoinHostPort(w.top.ServerAddr6().String(), port) }
