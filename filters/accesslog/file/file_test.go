package file

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	t *testing.T
	*Files
	store *stats.Store
	path  string
}

func newRig(t *testing.T) *rig {
	store := stats.NewStore()
	r := &rig{t, NewFiles(store.Scope("")), store, filepath.Join(t.TempDir(), "access.log")}
	t.Cleanup(func() {
		for _, w := range r.writers() {
			if !w.ours && w.file != nil {
				w.file.Close()
			}
		}
	})
	return r
}

func (r *rig) open(path string) filters.Sink {
	r.t.Helper()
	s, err := r.Open(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) write(s filters.Sink, line string) {
	r.t.Helper()
	if n, err := s.Write([]byte(line)); n != len(line) || err != nil {
		r.t.Errorf("write: %d, %v", n, err)
	}
}

func (r *rig) read(path string) string {
	r.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func (r *rig) stat(name string) int64 {
	v, _ := r.store.Value("filesystem." + name)
	return v
}

// run starts Run; the function it gives ends it and waits.
func (r *rig) run() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

func TestLinesAreWrittenAtOnceWithoutRun(t *testing.T) {
	r := newRig(t)
	r.write(r.open(r.path), "one\n")
	r.write(r.open(r.path), "two\n")
	if got := r.read(r.path); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
}

func TestLinesAreWrittenEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.open(r.path)
		end := r.run()
		synctest.Wait()
		r.write(s, "one\n")
		r.write(r.open(r.path), "two\n") // opened while Run runs, the same writer
		synctest.Wait()
		if got := r.read(r.path); got != "" {
			t.Errorf("%q before the interval is over", got)
		}
		if n := r.stat("write_total_buffered"); n != 8 {
			t.Errorf("write_total_buffered %d", n)
		}
		pass(flushEvery)
		if got := r.read(r.path); got != "one\ntwo\n" {
			t.Errorf("%q after the interval", got)
		}
		pass(5 * flushEvery)
		r.write(s, "three\n")
		end()
		if got := r.read(r.path); got != "one\ntwo\nthree\n" {
			t.Errorf("%q after the end", got)
		}
		r.write(s, "four\n")
		if got := r.read(r.path); got != "one\ntwo\nthree\nfour\n" {
			t.Errorf("%q of what comes late", got)
		}
		for name, want := range map[string]int64{
			"write_buffered": 4, "write_completed": 3, "flushed_by_timer": 1, "write_failed": 0, "write_dropped": 0, "write_total_buffered": 0,
		} {
			if n := r.stat(name); n != want {
				t.Errorf("%s %d, wanted %d", name, n, want)
			}
		}
	})
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	t := time.NewTimer(d + time.Millisecond)
	<-t.C
	synctest.Wait()
}

func TestEnoughLinesAreWrittenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.open(r.path)
		defer r.run()()
		synctest.Wait()
		line := strings.Repeat("x", 1023) + "\n"
		for range flushAt/1024 + 10 {
			r.write(s, line)
		}
		synctest.Wait()
		if n := len(r.read(r.path)); n < flushAt || n%1024 != 0 {
			t.Errorf("%d bytes written", n)
		}
		if n := r.stat("flushed_by_timer"); n != 0 {
			t.Errorf("flushed_by_timer %d", n)
		}
	})
}

func TestReopenForRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.open(r.path)
		defer r.run()()
		synctest.Wait()
		r.write(s, "old\n")
		if err := os.Rename(r.path, r.path+".1"); err != nil {
			t.Fatal(err)
		}
		r.write(s, "old too\n")
		r.Reopen()
		r.write(s, "new\n")
		pass(flushEvery)
		if got := r.read(r.path + ".1"); got != "old\nold too\n" {
			t.Errorf("rotated: %q", got)
		}
		if got := r.read(r.path); got != "new\n" {
			t.Errorf("new: %q", got)
		}
	})
}

func TestReopenThatFailsKeepsTheFile(t *testing.T) {
	r := newRig(t)
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := r.open(filepath.Join(dir, "log"))
	if err := os.Rename(dir, dir+".1"); err != nil {
		t.Fatal(err)
	}
	r.Reopen()
	r.write(s, "kept\n")
	if got := r.read(filepath.Join(dir+".1", "log")); got != "kept\n" || r.stat("reopen_failed") != 1 {
		t.Errorf("%q, reopen_failed %d", got, r.stat("reopen_failed"))
	}
}

func TestIdleFileIsClosedAndOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := r.open(r.path)
		defer r.run()()
		synctest.Wait()
		pass(idleClose + flushEvery)
		if w := s.(*writer); w.file != nil {
			t.Error("the file is open")
		}
		r.write(s, "again\n")
		pass(flushEvery)
		if got := r.read(r.path); got != "again\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestOpenFails(t *testing.T) {
	r := newRig(t)
	if _, err := r.Open(filepath.Join(t.TempDir(), "no", "log")); err == nil || !strings.Contains(err.Error(), "access log: open for appending") {
		t.Errorf("%v", err)
	}
}

func TestWriteErrorsAreCounted(t *testing.T) {
	r := newRig(t)
	r.write(r.open("/dev/full"), "lost\n")
	if n := r.stat("write_failed"); n != 1 {
		t.Errorf("write_failed %d", n)
	}
}

// TestSlowFileLosesWholeLines: a pipe that nobody reads never makes a writer
// wait; what finds no room is counted, and nothing of it is written.
func TestSlowFileLosesWholeLines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fifo := r.path + ".fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	s := r.open(fifo)
	end := r.run()
	for !s.(*writer).gathers() {
		runtime.Gosched() // until Run has begun
	}
	line := strings.Repeat("y", 1<<16-1) + "\n"
	began := time.Now()
	for range 3 * bufferMax / len(line) {
		r.write(s, line)
	}
	if d := time.Since(began); d > writeTime {
		t.Errorf("writing took %v", d)
	}
	if r.stat("write_dropped") == 0 {
		t.Error("nothing was dropped")
	}
	end()
	if r.stat("write_failed") == 0 {
		t.Error("no write failed")
	}
}

func (w *writer) gathers() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buffering
}

// TestNothingIsLostOrTorn writes from many goroutines while files are reopened.
func TestNothingIsLostOrTorn(t *testing.T) {
	r := newRig(t)
	s := r.open(r.path)
	end := r.run()
	const writers, lines = 8, 500
	var wg sync.WaitGroup
	for k := range writers {
		wg.Go(func() {
			for i := range lines {
				r.write(s, fmt.Sprintf("%d %d %s\n", k, i, strings.Repeat("z", i)))
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			r.Reopen()
		}
	})
	wg.Wait()
	end()
	next := [writers]int{}
	for _, l := range bytes.Split(bytes.TrimSpace([]byte(r.read(r.path))), []byte("\n")) {
		var k, i int
		var z string
		_, _ = fmt.Sscanf(string(l), "%d %d %s", &k, &i, &z)
		if len(z) != i || next[k] != i {
			t.Fatalf("line %.40q: writer %d is at %d", l, k, next[k])
		}
		next[k]++
	}
	for k, n := range next {
		if n != lines {
			t.Errorf("writer %d: %d lines", k, n)
		}
	}
}

func TestWriteCostsNoAllocation(t *testing.T) {
	r := newRig(t)
	s := r.open("/dev/null")
	end := r.run()
	defer end()
	line := []byte(strings.Repeat("x", 200) + "\n")
	for range 4 * flushAt / len(line) {
		_, _ = s.Write(line)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Write(line) }); n > 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func TestOurOwnStreamsAreNeverClosed(t *testing.T) {
	r := newRig(t)
	for path, f := range map[string]*os.File{"/dev/stdout": os.Stdout, "/dev/stderr": os.Stderr} {
		w := r.open(path).(*writer)
		w.used = time.Now().Add(-2 * idleClose)
		r.Reopen()
		w.closeIdle(time.Now())
		if w.file != f {
			t.Errorf("%s is another file", path)
		}
	}
}
