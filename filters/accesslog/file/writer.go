package file

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A writer gathers the lines of one file. Write only copies; whoever holds io
// does the system calls.
type writer struct {
	// set in Open, never changed
	path   string
	stats  *Stats
	kick   chan<- struct{}
	ours   bool // our standard output or error: never opened again, never closed
	at     int  // bytes that are not waited with
	direct bool // a terminal, with somebody waiting: lines are written at once

	mu        sync.Mutex
	buf       []byte // guarded by mu, like all below
	buffering bool
	kicked    bool

	io    sync.Mutex // taken before mu
	file  *os.File   // guarded by io, like all below; nil after it was idle
	spare []byte     // the buffer not in use
	used  time.Time  // of the last write
}

// Write implements filters.Sink. It does not block on the file while Run is
// there to write, and it never fails: what is lost is counted.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	if len(w.buf)+len(p) > bufferMax {
		w.mu.Unlock()
		w.stats.Dropped.Inc()
		return len(p), nil
	}
	w.buf = append(w.buf, p...)
	now := !w.buffering || w.direct
	wake := !now && !w.kicked && len(w.buf) >= w.at
	if wake {
		w.kicked = true
	}
	w.mu.Unlock()
	w.stats.Buffered.Inc()
	w.stats.TotalBuffered.Add(int64(len(p)))
	switch {
	case now:
		w.flush(1)
	case wake:
		select {
		case w.kick <- struct{}{}:
		default: // Run is being woken already
		}
	}
	return len(p), nil
}

// flush writes what was gathered if it is at least so many bytes, and tells
// whether it wrote.
func (w *writer) flush(least int) bool {
	w.io.Lock()
	defer w.io.Unlock()
	return w.flushLocked(least)
}

// flushLocked is flush under io.
func (w *writer) flushLocked(least int) bool {
	w.mu.Lock()
	w.kicked = false
	if len(w.buf) < least {
		w.mu.Unlock()
		return false
	}
	b := w.buf
	w.buf = w.spare[:0]
	w.mu.Unlock()
	w.write(b)
	w.stats.TotalBuffered.Add(-int64(len(b)))
	if w.spare = b[:0]; cap(b) > 4*flushAt {
		w.spare = nil // grown while the file was slow
	}
	return true
}

func (w *writer) write(b []byte) {
	w.used = time.Now()
	if w.file == nil {
		if err := w.open(); err != nil {
			w.stats.Failed.Inc()
			return
		}
	}
	// Pipes can make us wait; regular files take no deadline.
	_ = w.file.SetWriteDeadline(w.used.Add(writeTime))
	if _, err := w.file.Write(b); err != nil {
		w.stats.Failed.Inc()
		return
	}
	w.stats.Completed.Inc()
}

// open opens the file for appending; under io, or before anybody else knows w.
func (w *writer) open() error {
	f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open for appending: %w", err)
	}
	w.file = f
	return nil
}

func (w *writer) reopen() {
	if w.ours {
		return
	}
	w.io.Lock()
	defer w.io.Unlock()
	w.flushLocked(1)
	old := w.file
	if err := w.open(); err != nil {
		w.stats.ReopenFailed.Inc()
		return
	}
	if old != nil {
		_ = old.Close() // all was written: there is nothing left to lose
	}
}

func (w *writer) closeIdle(now time.Time) {
	w.io.Lock()
	defer w.io.Unlock()
	if w.ours || w.file == nil || now.Sub(w.used) < idleClose {
		return
	}
	_ = w.file.Close() // as above
	w.file = nil
}

func (w *writer) setBuffering(on bool) {
	w.mu.Lock()
	w.buffering = on
	w.mu.Unlock()
	if !on {
		w.flush(1)
	}
}

// isTerminal asks without File.Fd, which would make the file's writes blocking
// and its deadlines void.
func isTerminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	terminal := false
	err = raw.Control(func(fd uintptr) {
		_, e := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		terminal = e == nil
	})
	return err == nil && terminal
}
