package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Promises, and what a machine that is busy with other tests may add to them.
const (
	promised = time.Second
	busy     = 3 * time.Second
)

// TestDeathsUnderStorm ends Weir in every way there is, at a thousand new connections
// a second.
func TestDeathsUnderStorm(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(*testing.T, *process)
	}{
		{"killed", func(t *testing.T, p *process) { p.signal(unix.SIGKILL) }},
		// Stopped, it still has its rules and listening sockets: the watchdog's work.
		{"stopped", func(t *testing.T, p *process) { p.signal(unix.SIGSTOP) }},
		// As the runtime ends after a panic: it prints its goroutines and aborts. There
		// is no way to make Weir panic, and none is made for a test.
		{"aborted", func(t *testing.T, p *process) { p.mayPanic = true; p.signal(unix.SIGABRT) }},
		{"out of memory", outOfMemory},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.serveHTTP(w.at4("80"), func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "direct") })
			w.serveHTTP(w.at4("8081"), func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "v1") })
			before := w.network()
			p := w.start(toV1, takeAll...)
			var idle []*line // intercepted connections that are there already
			for range 20 {
				l := w.dial(w.at4("80"))
				l.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				l.response("GET")
				idle = append(idle, l)
			}
			s := w.startStorm(w.at4("80"))
			w.served(s, "v1", 200, time.Time{})

			fault := time.Now()
			c.fault(t, p)
			w.served(s, "direct", 500, fault)
			p.wait() // its standard error is closed: the guard has ended too
			w.openFrom(s.end(), fault, fault.Add(promised+busy))

			for _, l := range idle {
				_ = l.SetReadDeadline(time.Now().Add(patience))
				_, _ = l.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
				if b, err := io.ReadAll(l.r); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("an established connection: %q, %v", b, err)
				}
			}
			w.restored(before) // the guard has swept
		})
	}
}

// outOfMemory leaves Weir no memory: in a memory cgroup of its own where one can be
// made, whose limit it is over already; else by a limit of its address space, on
// which the Go runtime gives up when it next grows.
func outOfMemory(t *testing.T, p *process) {
	pid := p.cmd.Process.Pid
	if dir, limit := memoryGroup(t); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, limit), []byte(strconv.Itoa(1<<20)), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			t.Fatal(err)
		}
		t.Log("by a memory cgroup")
		return
	}
	t.Log("by RLIMIT_AS")
	p.mayPanic = true
	now := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := unix.Prlimit(pid, unix.RLIMIT_AS, &now, nil); err != nil {
		t.Fatal(err)
	}
}

// memoryGroup makes a memory cgroup, of version 2 or 1; "" when it cannot.
func memoryGroup(t *testing.T) (dir, limit string) {
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("weir-e2e-%d", os.Getpid())
	for _, c := range []struct{ dir, limit string }{{filepath.Join(root, name), "memory.max"}, {filepath.Join(root, "memory", name), "memory.limit_in_bytes"}} {
		if err := os.Mkdir(c.dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() {
			if err := eventually(patience, func() error { return os.Remove(c.dir) }); err != nil {
				t.Error(err)
			}
		})
		if _, err := os.Stat(filepath.Join(c.dir, c.limit)); err == nil {
			return c.dir, c.limit
		}
	}
	return "", ""
}
