// Package filewatch tells when files may have changed: a file written in place or renamed over, and the links that lead to it.
//
// It watches folders, not files, as whoever changes a file well replaces it: an editor renames, and a Kubernetes volume swaps the
// link ..data beside the links that files are known by. A change is told once the folders were quiet for a moment, for a writer may
// not be done.
package filewatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// How long folders are quiet before a change is told, and how long it is held back at most while they are not.
const (
	Quiet   = 50 * time.Millisecond
	Longest = time.Second
)

// mask is what may change a file, or where its name leads (inotify(7)).
const mask = unix.IN_CLOSE_WRITE | unix.IN_MODIFY | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// A Watcher watches folders for one goroutine.
type Watcher struct {
	// Moves has Next return as soon as something was moved into a folder: who moves a file into place is done with it.
	Moves bool

	f       *os.File
	watched map[int]struct{} // watch descriptors
	buf     [4096]byte
}

// New makes a Watcher of no folder.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", os.NewSyscallError("inotify_init1", err))
	}
	return &Watcher{f: os.NewFile(uintptr(fd), "inotify"), watched: map[int]struct{}{}}, nil
}

// Close ends the watch.
func (w *Watcher) Close() error { return w.f.Close() }

// Watch makes dirs the folders that are watched: those that their names lead to now. It is to be called after every change, before
// the files are read, for a name may lead elsewhere then. The error has every folder that cannot be watched; the others are.
func (w *Watcher) Watch(dirs ...string) error {
	slices.Sort(dirs)
	var errs []error
	now := map[int]struct{}{}
	c, err := w.f.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch files: %w", err)
	}
	err = c.Control(func(fd uintptr) {
		for _, d := range slices.Compact(dirs) {
			wd, err := unix.InotifyAddWatch(int(fd), d, mask)
			if err != nil {
				errs = append(errs, fmt.Errorf("watch %s: %w", d, err))
				continue
			}
			now[wd] = struct{}{}
		}
		for wd := range w.watched {
			if _, ok := now[wd]; !ok {
				_, _ = unix.InotifyRmWatch(int(fd), uint32(wd)) // it fails when the folder is gone
			}
		}
	})
	w.watched = now
	return errors.Join(append(errs, err)...)
}

// Next returns when something changed since the last call and the folders then were quiet, or ctx ends: that is its error.
func (w *Watcher) Next(ctx context.Context) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = w.f.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-interrupted // else it may interrupt the next call
		}
	}()
	moved, err := w.read(ctx, time.Time{})
	if err != nil || moved {
		return err
	}
	for end := time.Now().Add(Longest); ; {
		until := time.Now().Add(Quiet)
		if until.After(end) {
			return ctx.Err()
		}
		switch moved, err := w.read(ctx, until); {
		case moved:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}

// read waits for events until a time and forgets them. With Moves it tells whether the last was that something was moved here.
func (w *Watcher) read(ctx context.Context, until time.Time) (moved bool, err error) {
	if err := w.f.SetReadDeadline(until); err != nil {
		return false, fmt.Errorf("watch files: %w", err)
	}
	if ctx.Err() != nil { // its end may have come before the deadline was set
		return false, ctx.Err()
	}
	n, err := w.f.Read(w.buf[:])
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return false, fmt.Errorf("watch files: %w", err)
	}
	return w.Moves && movedLast(w.buf[:n]), nil
}

// movedLast tells whether the last of some events (inotify_event(7): wd, mask, cookie, len, name) is IN_MOVED_TO.
func movedLast(b []byte) (moved bool) {
	for len(b) >= unix.SizeofInotifyEvent {
		moved = binary.NativeEndian.Uint32(b[4:])&unix.IN_MOVED_TO != 0
		next := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if next > len(b) {
			break
		}
		b = b[next:]
	}
	return moved
}
