package intercept

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// netnsFile is a network namespace that programs can be run in and files of
// /proc/net be opened in, from any thread.
type netnsFile struct {
	f  *os.File
	id uint64
}

// openNetns is the namespace of the calling thread.
func openNetns() (*netnsFile, error) {
	id, err := netnsID()
	if err != nil {
		return nil, err
	}
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	return &netnsFile{f, id}, nil
}

// do runs fn on a thread that is in the namespace.
func (n *netnsFile) do(fn func() error) error {
	runtime.LockOSThread()
	if id, err := netnsID(); err != nil || id == n.id {
		defer runtime.UnlockOSThread()
		if err != nil {
			return err
		}
		return fn()
	}
	old, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer old.Close()
	if err := unix.Setns(int(n.f.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the network namespace of the rules: %w", err)
	}
	defer func() {
		// A thread that cannot go back stays locked and dies with its goroutine.
		if unix.Setns(int(old.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}

func (n *netnsFile) close() { n.f.Close() }
