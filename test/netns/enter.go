package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// childEnv marks a process that Enter has already put into a user namespace.
	childEnv = "WEIR_NETNS_CHILD"
	// mustEnv, set to "must", turns the skips of Require into failures.
	mustEnv = "WEIR_E2E"
)

// Available reports whether this process may make network namespaces: nil, or
// the reason in one line.
func Available() error {
	ch := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ch <- unix.Unshare(unix.CLONE_NEWNET)
	}()
	err := <-ch
	switch {
	case err == nil:
		return nil
	case os.Getenv(childEnv) != "":
		return fmt.Errorf("the user namespace has no power over network namespaces (restricted by AppArmor?): %w; run as root", err)
	case os.Getuid() != 0:
		return fmt.Errorf("not root and not in a user namespace of our own: %w", err)
	}
	return fmt.Errorf("root without CAP_SYS_ADMIN: %w", err)
}

// Enter makes network namespaces available where the machine allows it. Call it
// first in main or TestMain, before anything is opened.
//
// Where they are available already (root), it returns nil at once. Otherwise it
// runs this program again, same arguments, in a new user, network and mount
// namespace in which it is root with a tmpfs on /run, and ends this process with
// the child's exit code: it does not return. In the child it returns nil. Where
// user namespaces are forbidden it returns the reason, in one line.
func Enter() error {
	if os.Getenv(childEnv) != "" {
		return enterChild()
	}
	first := Available()
	if first == nil {
		return nil
	}
	code, err := reexec()
	if err != nil {
		return fmt.Errorf("%w; user namespaces are not allowed either: %w", first, err)
	}
	os.Exit(code)
	return nil
}

// enterChild prepares the mount namespace that reexec made.
func enterChild() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs on /run: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	return Available()
}

// reexec runs this program again in new namespaces and returns its exit code.
func reexec() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		// The child must not outlive us: its namespaces would.
		Pdeathsig: unix.SIGKILL,
	}
	// Pdeathsig follows the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	// A terminal sends SIGINT to both; a supervisor sends SIGTERM to us only.
	sigs := make(chan os.Signal, 4)
	signal.Notify(sigs, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(sigs)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("clone: %w", err)
	}
	waited := make(chan error, 1)
	go func() { waited <- cmd.Wait() }()
	for {
		select {
		case s := <-sigs:
			if s != unix.SIGINT {
				_ = cmd.Process.Signal(s)
			}
		case err := <-waited:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
					return 128 + int(ws.Signal()), nil
				}
				return exit.ExitCode(), nil
			}
			if err != nil {
				return 0, fmt.Errorf("wait: %w", err)
			}
			return 0, nil
		}
	}
}

// Main is a TestMain: it enters namespaces where it can, runs the tests and
// exits. Tests that need namespaces call [Require], which skips them where Enter
// could not. A test package that checks for leaks calls Enter itself, then
// goleak.VerifyTestMain.
func Main(m interface{ Run() int }) {
	_ = Enter() // Require repeats the reason
	os.Exit(m.Run())
}

// TB is the part of testing.TB that this package uses.
type TB interface {
	Helper()
	Skip(args ...any)
	Fatal(args ...any)
	Error(args ...any)
	Cleanup(func())
}

// Require skips the test, with the reason, where namespaces cannot be made, and
// fails it when WEIR_E2E=must.
func Require(t TB) {
	t.Helper()
	err := Available()
	if err == nil {
		return
	}
	if os.Getenv(mustEnv) == "must" {
		t.Fatal("network namespaces are required:", err)
	}
	t.Skip("needs network namespaces (run as root, or allow unprivileged user namespaces):", err)
}

// Start makes a topology for a test and closes it when the test ends.
func Start(t TB, o Options) *Topology {
	t.Helper()
	Require(t)
	top, err := NewTopology(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := top.Close(); err != nil {
			t.Error(err)
		}
	})
	return top
}
