// Package netns makes throw-away network namespaces and runs code inside them.
//
// The end-to-end tests and `weir demo` use it to intercept real traffic without
// ever touching the host's network: every firewall rule, route and sysctl lives
// in a namespace that disappears with its last file descriptor.
//
// A namespace is anonymous unless a name is asked for: nothing is written under
// /run/netns, so a process that is killed leaves nothing behind. The package
// imports no testing code; tests pass their *testing.T as a [TB].
package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bindDir is where ip-netns(8) looks for named namespaces.
const bindDir = "/run/netns"

// NS is one network namespace, held by a file descriptor.
type NS struct {
	// Name labels errors; with New("") it is empty.
	Name string

	file  *os.File // set in New, never changed
	bound string   // path under bindDir, or empty

	madeDir bool // Bind made bindDir

	mu    sync.Mutex
	procs map[*exec.Cmd]struct{} // guarded by mu: started through Command, not yet waited for
	done  bool                   // guarded by mu
}

// New makes an empty namespace whose loopback interface is up. The caller's own
// namespace is unchanged. It needs CAP_SYS_ADMIN in the current user namespace:
// see [Available] and [Enter].
func New(name string) (*NS, error) {
	type result struct {
		file *os.File
		err  error
	}
	ch := make(chan result, 1)
	// The thread is never unlocked: the runtime ends it with the goroutine, so a
	// thread in the wrong namespace can never serve other goroutines.
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- result{err: fmt.Errorf("unshare network namespace: %w", err)}
			return
		}
		if err := loopbackUp(); err != nil {
			ch <- result{err: err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		ch <- result{file: f, err: err}
	}()
	r := <-ch
	if r.err != nil {
		return nil, fmt.Errorf("netns %q: %w", name, r.err)
	}
	return &NS{Name: name, file: r.file, procs: map[*exec.Cmd]struct{}{}}, nil
}

// loopbackUp sets the loopback interface of the calling thread's namespace up.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// Bind makes the namespace visible to `ip netns` under its name, until Close.
// It is meant for people who look into a running demo; tests do not need it.
func (n *NS) Bind() error {
	if n.Name == "" || filepath.Base(n.Name) != n.Name {
		return fmt.Errorf("netns %q: not a file name", n.Name)
	}
	if err := os.Mkdir(bindDir, 0o755); err == nil {
		n.madeDir = true
	} else if !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("netns %q: %w", n.Name, err)
	}
	path := filepath.Join(bindDir, n.Name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("netns %q: %w", n.Name, err)
	}
	f.Close()
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", n.Fd()), path, "none", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("netns %q: bind %s: %w", n.Name, path, err), os.Remove(path))
	}
	n.bound = path
	return nil
}

// Fd is the descriptor of the namespace, valid until Close.
func (n *NS) Fd() int { return int(n.file.Fd()) }

// Do runs fn on the calling goroutine, inside the namespace.
//
// Sockets that fn opens belong to the namespace for ever, and processes that it
// starts run there. Goroutines that fn starts do not: they get threads of their
// own, in the namespace of the process. Do may be nested, and fn may end the
// goroutine (as t.Fatal does).
func (n *NS) Do(fn func() error) error {
	runtime.LockOSThread()
	old, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netns %q: open current namespace: %w", n.Name, err)
	}
	defer old.Close()
	if err := unix.Setns(n.Fd(), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netns %q: enter: %w", n.Name, err)
	}
	defer func() {
		// A thread that cannot go back stays locked and dies with its goroutine.
		if unix.Setns(int(old.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}

// SetSysctl writes a network sysctl, e.g. "net.ipv4.ip_forward".
// A dot inside an interface name is written as a slash, as sysctl(8) has it.
func (n *NS) SetSysctl(key, value string) error {
	return n.Do(func() error {
		if err := os.WriteFile(sysctlPath(key), []byte(value), 0); err != nil {
			return fmt.Errorf("netns %q: set %s=%s: %w", n.Name, key, value, err)
		}
		return nil
	})
}

// Sysctl reads a network sysctl, without its final newline.
func (n *NS) Sysctl(key string) (value string, err error) {
	err = n.Do(func() error {
		b, err := os.ReadFile(sysctlPath(key))
		if err != nil {
			return fmt.Errorf("netns %q: read %s: %w", n.Name, key, err)
		}
		for len(b) > 0 && b[len(b)-1] == '\n' {
			b = b[:len(b)-1]
		}
		value = string(b)
		return nil
	})
	return value, err
}

// sysctlPath turns "net.ipv4.conf.eth0/1.rp_filter" into its file, exchanging
// dots and slashes as sysctl(8) does.
func sysctlPath(key string) string {
	b := []byte(key)
	for i, c := range b {
		switch c {
		case '.':
			b[i] = '/'
		case '/':
			b[i] = '.'
		}
	}
	return "/proc/sys/" + string(b)
}

// Close kills the commands still running in the namespace, waits for them and
// lets the namespace go. It may be called more than once.
func (n *NS) Close() error {
	n.mu.Lock()
	if n.done {
		n.mu.Unlock()
		return nil
	}
	n.done = true
	var procs []*exec.Cmd
	for c := range n.procs {
		procs = append(procs, c)
	}
	n.mu.Unlock()

	for _, c := range procs {
		// The group, so that grandchildren go too; see Command.
		_ = unix.Kill(-c.Process.Pid, unix.SIGKILL)
		_ = c.Wait()
	}
	var errs []error
	if n.bound != "" {
		if err := unix.Unmount(n.bound, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("netns %q: unmount %s: %w", n.Name, n.bound, err))
		}
		errs = append(errs, os.Remove(n.bound))
	}
	if n.madeDir {
		_ = unix.Rmdir(bindDir) // unless somebody else uses it by now
	}
	errs = append(errs, n.file.Close())
	return errors.Join(errs...)
}
