package netio

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace in which sockets can be opened from any
// thread. A socket stays in the namespace that it was opened in, and keeps that
// alive; so does a Namespace until Leave. nil is the namespace of the calling
// thread.
type Namespace struct {
	// set in OpenNamespace, never changed
	path     string
	file     *os.File
	dev, ino uint64

	left atomic.Bool
}

// OpenNamespace opens the namespace at a path, such as /run/netns/name or
// /proc/PID/ns/net.
func OpenNamespace(path string) (*Namespace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	n := &Namespace{path: path, file: f}
	if n.dev, n.ino, err = identity(path); err == nil {
		err = n.Do(func() error { return nil }) // is it one?
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return n, nil
}

// identity is the number of the file that is at path.
func identity(path string) (dev, ino uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, fmt.Errorf("network namespace: %w", &os.PathError{Op: "stat", Path: path, Err: err})
	}
	return st.Dev, st.Ino, nil
}

// String is the path.
func (n *Namespace) String() string {
	if n == nil {
		return ""
	}
	return n.path
}

// There tells whether the namespace is still the one at its path.
func (n *Namespace) There() bool {
	dev, ino, err := identity(n.path)
	return err == nil && dev == n.dev && ino == n.ino
}

// Same tells whether two are one namespace, by whatever path.
func (n *Namespace) Same(o *Namespace) bool { return n.dev == o.dev && n.ino == o.ino }

// Leave lets the namespace go: no more sockets can be opened in it.
func (n *Namespace) Leave() {
	if !n.left.Swap(true) {
		n.file.Close()
	}
}

// Left tells whether Leave was called.
func (n *Namespace) Left() bool { return n != nil && n.left.Load() }

// Do runs fn on a thread that is in the namespace. Goroutines that fn starts are
// elsewhere.
func (n *Namespace) Do(fn func() error) error {
	if n == nil {
		return fn()
	}
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer home.Close()
	if err := n.enter(); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s: %w", n.path, err)
	}
	defer func() {
		// A thread that cannot go back stays with this goroutine, and ends with it.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}

// enter takes the calling thread there.
func (n *Namespace) enter() error {
	raw, err := n.file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	if err := raw.Control(func(fd uintptr) { failure = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err != nil {
		return os.ErrClosed // it was left
	}
	return os.NewSyscallError("setns", failure)
}

// Socket opens a socket in the namespace. It does not block.
func (n *Namespace) Socket(family, typ int) (fd int, err error) {
	open := func() error {
		fd, err = unix.Socket(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return os.NewSyscallError("socket", err)
	}
	if n == nil {
		err = open()
	} else {
		err = n.Do(open)
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}
