package watchdog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startLimit = 10 * time.Second // a guard that is not ready by then will not be
	endLimit   = 15 * time.Second // what the process may take to end by itself, after End
	restart    = time.Second      // between guards
)

// Options say what is watched, and how.
type Options struct {
	// Limit is how long there may be no sign of life. At least MinLimit.
	Limit time.Duration
	// Command is the program, and its arguments before Serve's, that becomes the guard.
	Command []string
	// Pulses gives all that is to show signs of life now. It takes no lock that could
	// be held for long.
	Pulses func() []Pulse
	// Report hears of what is stuck, and of guards that had to be replaced.
	Report func(error)
}

// A Watchdog is a running watch over this process.
type Watchdog struct {
	o     Options
	end   context.CancelFunc
	done  sync.WaitGroup
	ended atomic.Pointer[time.Time] // when End was called
	beat  atomic.Int64              // when all was well last, as nanoseconds since began
	guard atomic.Int64              // process
	began time.Time

	link *link // owned by run
}

// link is the way to one guard.
type link struct {
	cmd    *exec.Cmd
	socket *os.File
	gone   chan struct{} // closed when the guard has ended
}

// Start starts the guard, waits until it is on its post, and begins to watch.
func Start(o Options) (*Watchdog, error) {
	if o.Limit < MinLimit {
		return nil, fmt.Errorf("watchdog: limit %s: at least %s", o.Limit, MinLimit)
	}
	w := &Watchdog{o: o, began: time.Now()}
	if err := w.post(); err != nil {
		return nil, fmt.Errorf("watchdog: start the guard: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // ended by Close
	w.end = cancel
	w.done.Go(func() { w.run(ctx) })
	return w, nil
}

// End says that the process is ending, and has no pulses any more: it has 15 seconds
// until it counts as stuck.
func (w *Watchdog) End() {
	now := time.Now()
	w.ended.CompareAndSwap(nil, &now)
}

// Close ends the watch, and the guard.
func (w *Watchdog) Close() {
	w.end()
	w.done.Wait()
}

// Alive tells whether all was well within the limit.
func (w *Watchdog) Alive() bool {
	return time.Since(w.began)-time.Duration(w.beat.Load()) < w.o.Limit
}

// Guard is the process number of the guard that was started last.
func (w *Watchdog) Guard() int { return int(w.guard.Load()) }

// post starts a guard.
func (w *Watchdog) post() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "guard"), os.NewFile(uintptr(pair[1]), "guarded")
	defer theirs.Close()
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		ours.Close()
		return os.NewSyscallError("pidfd_open", err) // Linux 5.3
	}
	process := os.NewFile(uintptr(self), "process")
	defer process.Close()
	args := append(append([]string{}, w.o.Command[1:]...), "--pid", strconv.Itoa(os.Getpid()), "--limit", w.o.Limit.String())
	cmd := exec.Command(w.o.Command[0], args...)
	cmd.Args[0] = "weir"
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{theirs, process}
	// Of a session of its own: what stops or ends the terminal's group is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return err
	}
	l := &link{cmd: cmd, socket: ours, gone: make(chan struct{})}
	go func() {
		defer close(l.gone)
		_ = cmd.Wait()
	}()
	theirs.Close() // or the end of the guard would not be seen
	if err := l.ready(); err != nil {
		l.close()
		return err
	}
	w.link = l
	w.guard.Store(int64(cmd.Process.Pid))
	return nil
}

// ready waits for the guard's first byte.
func (l *link) ready() error {
	fds := []unix.PollFd{{Fd: int32(l.socket.Fd()), Events: unix.POLLIN}}
	for end := time.Now().Add(startLimit); ; {
		left := time.Until(end)
		n, err := unix.Poll(fds, int(max(left, 0).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("poll", err)
		case n == 0:
			return fmt.Errorf("not ready within %s", startLimit)
		}
		var b [1]byte
		if n, err := unix.Read(int(l.socket.Fd()), b[:]); n != 1 || b[0] != saysReady {
			return fmt.Errorf("ended at once (%w)", errors.Join(errors.New("see standard error"), err))
		}
		return nil
	}
}

// say sends a byte; it fails when the guard is gone, or does not listen.
func (l *link) say(c byte) error {
	return unix.Sendto(int(l.socket.Fd()), []byte{c}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}

func (l *link) close() {
	l.socket.Close()
	_ = l.cmd.Process.Kill()
	<-l.gone
}

// run beats until Close.
func (w *Watchdog) run(ctx context.Context) {
	interval := w.o.Limit / Beats
	tick := time.NewTicker(interval)
	defer tick.Stop()
	defer func() {
		if w.link != nil {
			w.link.close()
		}
	}()
	var m monitor
	var lost time.Time // since when there is no guard
	last := time.Now()
	for {
		if w.link == nil && time.Since(lost) >= restart {
			if err := w.post(); err != nil {
				lost = time.Now()
				w.report(fmt.Errorf("no watchdog: %w", err))
			}
			last = time.Now()
		}
		if w.link != nil {
			if err := w.turn(&m, time.Since(last) > 2*interval); err != nil {
				w.report(fmt.Errorf("the watchdog's guard is lost (%w): another is started", err))
				w.link.close()
				w.link, lost = nil, time.Now()
			}
		}
		last = time.Now()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// turn asks for signs of life and tells the guard.
func (w *Watchdog) turn(m *monitor, late bool) error {
	var found []Pulse
	if e := w.ended.Load(); e == nil {
		found = m.turn(w.o.Pulses(), late, processorTime(), w.o.Limit/Beats, runtime.GOMAXPROCS(0))
	} else if time.Since(*e) > endLimit {
		return nil // silence
	}
	if len(found) == 0 {
		w.beat.Store(int64(time.Since(w.began)))
		return w.link.say(saysBeat)
	}
	reported := w.report(fmt.Errorf("stuck for %s: %s", w.o.Limit, names(found)))
	t := time.NewTimer(Grace)
	defer t.Stop()
	select {
	case <-reported: // before the stacks
	case <-t.C: // whoever it is told to may be what is stuck
	}
	return w.link.say(saysStuck)
}

// report closes the channel when the error is reported.
func (w *Watchdog) report(err error) <-chan struct{} {
	done := make(chan struct{})
	w.done.Go(func() {
		defer close(done)
		w.o.Report(err)
	})
	return done
}

func names(ps []Pulse) string {
	s := ps[0].String()
	if n := len(ps) - 1; n > 0 {
		s += fmt.Sprintf(", and %d more", n)
	}
	return s
}

// processorTime is what this process has used of the processor.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
