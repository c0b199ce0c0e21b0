package watchdog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A watched is a victim and its guard.
type watched struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Closer
	guard int // a pidfd
	errs  bytes.Buffer
}

func watch(t *testing.T, does string) *watched {
	t.Helper()
	w := &watched{t: t, cmd: exec.Command("/proc/self/exe"), guard: -1}
	w.cmd.Env = append(os.Environ(), "WATCHDOG_VICTIM="+does)
	w.cmd.Stderr = &w.errs
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	in, err := w.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.in = in
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = w.cmd.Wait()
		t.Fatalf("no guard: %v\n%s", err, &w.errs)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil { // it may have ended already
		w.guard = fd
		t.Cleanup(func() { unix.Close(fd) })
	}
	return w
}

// ended waits for both, and gives the signal that the victim died of. Waiting is
// bounded by the time that tests have. (Wait waits until standard error is closed,
// which the guard has too.)
func (w *watched) ended() syscall.Signal {
	w.t.Helper()
	_ = w.cmd.Wait()
	if w.guard >= 0 {
		if !w.guardEnds(20 * time.Second) {
			w.t.Error("the guard lives on")
		}
	}
	s := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !s.Signaled() {
		return 0
	}
	return s.Signal()
}

// guardEnds tells whether the guard ends within d.
func (w *watched) guardEnds(d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.guard), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds()))
		if n == 1 || left <= 0 {
			return n == 1
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			w.t.Fatal(err)
		}
	}
}

func TestStoppedIsKilled(t *testing.T) {
	t.Parallel()
	w := watch(t, "stop")
	if s := w.ended(); s != unix.SIGKILL || !strings.Contains(w.errs.String(), "no sign of life for 800ms (state T)") {
		t.Errorf("%v\n%s", s, &w.errs)
	}
}

// A process that can still do so shows where it hangs (Go: SIGQUIT).
func TestSilentShowsItsStacks(t *testing.T) {
	t.Parallel()
	w := watch(t, "silent")
	w.ended()
	if out := w.errs.String(); !strings.Contains(out, "no sign of life") || !strings.Contains(out, "watchdog.victim") {
		t.Errorf("%s", out)
	}
}

func TestStuckIsKilled(t *testing.T) {
	t.Parallel()
	w := watch(t, "stuck")
	w.ended()
	out := w.errs.String()
	for _, want := range []string{"reported: stuck for 800ms: mute", "it said that it is stuck", "watchdog.victim"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestGuardEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	for does, want := range map[string]syscall.Signal{"end": 0, "crash": unix.SIGKILL} {
		w := watch(t, does)
		if s := w.ended(); s != want || strings.Contains(w.errs.String(), "killed") {
			t.Errorf("%s: %v\n%s", does, s, &w.errs)
		}
	}
}

// What ends or stops a terminal's or a service's processes does not end the guard,
// and a guard that dies is replaced.
func TestGuardStaysOnItsPost(t *testing.T) {
	t.Parallel()
	w := watch(t, "wait")
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT} {
		if err := unix.PidfdSendSignal(w.guard, s, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if w.guardEnds(50 * time.Millisecond) {
		t.Fatal("the guard has ended")
	}
	w.in.Close()
	if s := w.ended(); s != 0 || w.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("%v %d\n%s", s, w.cmd.ProcessState.ExitCode(), &w.errs)
	}
}

func TestLostGuardIsReplaced(t *testing.T) {
	t.Parallel()
	reports := make(chan error, 10)
	p := &answering{}
	w, err := Start(Options{
		Limit: limit, Command: []string{"/proc/self/exe", "guard"},
		Pulses: func() []Pulse { return []Pulse{p} }, Report: func(err error) { reports <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	first := w.Guard()
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-reports; !strings.Contains(err.Error(), "another is started") {
		t.Error(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for w.Guard() == first {
		<-tick.C
	}
	w.Close()
}

func TestStartFailsWithoutAGuard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Limit: time.Millisecond}, "at least"},
		{Options{Limit: limit, Command: []string{"/nonexistent"}}, "no such file"},
		{Options{Limit: limit, Command: []string{"/bin/true"}}, "ended at once"},
	} {
		if _, err := Start(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want …%s…", err, c.want)
		}
	}
}
