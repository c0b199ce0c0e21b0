package watchdog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// The descriptors that a guard is started with.
const (
	socketFD  = 3
	processFD = 4 // pidfd of the process
)

// What goes over the socket, a byte each.
const (
	saysReady = 'r' // the guard
	saysBeat  = 'b' // the process: all is well
	saysStuck = 's' // the process: something of mine is stuck
)

// Serve is the guard: the program that Start starts calls it. It returns when the
// process has ended.
func Serve(pid int, limit time.Duration, out io.Writer) error {
	// Whoever ends a group of processes means the process; the guard follows it.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	stat, err := os.Open(fmt.Sprintf("/proc/%d/stat", pid)) // of this process, also when the number is another's one day
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	defer stat.Close()
	if _, err := unix.Write(socketFD, []byte{saysReady}); err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	g := &guard{stat: stat, interval: limit / Beats}
	var v vigil
	for {
		s, ended, err := g.turn()
		if ended || err != nil {
			return err
		}
		silence := s.beats == 0 && !s.stuck
		if silence {
			if s.state, s.cpu, err = g.look(); err != nil {
				continue // it ends, or nothing can be known: the next turn tells
			}
		}
		judged := v.look(s, g.interval)
		if judged == alive {
			continue
		}
		if judged == stuck {
			_ = unix.PidfdSendSignal(processFD, unix.SIGQUIT, nil, 0)
			g.wait(Grace)
		}
		if err := unix.PidfdSendSignal(processFD, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("watchdog: kill process %d: %w", pid, err)
		}
		why := "it said that it is stuck"
		if silence {
			why = fmt.Sprintf("no sign of life for %s (state %c)", time.Duration(v.silent)*g.interval, s.state)
		}
		g.wait(time.Second) // its sockets are closed when it is gone
		tell(out, fmt.Sprintf("weir: watchdog: process %d killed, so that traffic flows: %s\n", pid, why))
		return nil
	}
}

type guard struct {
	stat     *os.File
	interval time.Duration
}

// turn waits for one interval and takes what the process says; ended says that there is
// no process any more.
func (g *guard) turn() (s sight, ended bool, err error) {
	for end := time.Now().Add(g.interval); ; {
		left := time.Until(end)
		if left <= 0 {
			return s, false, nil
		}
		fds := []unix.PollFd{{Fd: socketFD, Events: unix.POLLIN}, {Fd: processFD, Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return s, false, fmt.Errorf("watchdog: poll: %w", err)
		case n == 0:
			return s, false, nil
		case fds[1].Revents != 0:
			return s, true, nil
		}
		var b [256]byte
		n, err = unix.Read(socketFD, b[:])
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
		case n <= 0:
			return s, true, nil
		}
		for _, c := range b[:max(n, 0)] {
			switch c {
			case saysBeat:
				s.beats++
			case saysStuck:
				s.stuck = true
				return s, false, nil
			}
		}
	}
}

// wait waits until the process has ended, for d at most.
func (g *guard) wait(d time.Duration) {
	fds := []unix.PollFd{{Fd: processFD, Events: unix.POLLIN}}
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if n, err := unix.Poll(fds, int(max(left, 0).Milliseconds())); n > 0 || left <= 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (g *guard) look() (byte, time.Duration, error) {
	var b [1024]byte
	n, err := g.stat.ReadAt(b[:], 0)
	if n == 0 && err != nil {
		return 0, 0, fmt.Errorf("read /proc/PID/stat: %w", err)
	}
	return parseStat(b[:n])
}

// tell prints, but does not wait for whoever does not read.
func tell(out io.Writer, line string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(out, line)
	}()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
