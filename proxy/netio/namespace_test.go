package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

// inode is that of the calling thread's network namespace.
func inode(t *testing.T) uint64 {
	t.Helper()
	_, ino, err := identity("/proc/thread-self/ns/net")
	if err != nil {
		t.Error(err)
	}
	return ino
}

func TestNamespace(t *testing.T) {
	netns.Require(t)
	top := netns.Start(t, netns.Options{})
	path := filepath.Join(t.TempDir(), "ns")
	if err := os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), top.Client.Fd()), path); err != nil {
		t.Fatal(err)
	}
	n, err := OpenNamespace(path)
	if err != nil {
		t.Fatal(err)
	}
	home := inode(t)
	if err := n.Do(func() error {
		if got := inode(t); got != n.ino || got == home {
			t.Errorf("in namespace %d, want %d", got, n.ino)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if got := inode(t); got != home {
		t.Errorf("left in namespace %d, was in %d", got, home)
	}

	ln, err := top.Server.Listen(t.Context(), nil, "tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Addr, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- c.RemoteAddr()
		c.Close()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := Dial(ctx, netip.AddrPortFrom(top.ServerAddr4(), 7), DialOptions{Namespace: n})
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := (<-accepted).(*net.TCPAddr); !ok || a.AddrPort().Addr().Unmap() != top.ClientAddr4() {
		t.Errorf("seen as %v, want %v", a, top.ClientAddr4())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	if !n.There() || n.Left() {
		t.Error("gone already")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if n.There() {
		t.Error("still there without a path")
	}
	if err := os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), top.Server.Fd()), path); err != nil {
		t.Fatal(err)
	}
	if n.There() {
		t.Error("another namespace at the path is taken for it")
	}
	n.Leave()
	n.Leave()
	if _, err := n.Socket(unix.AF_INET, unix.SOCK_STREAM); !errors.Is(err, os.ErrClosed) || !n.Left() {
		t.Errorf("socket after Leave: %v", err)
	}
	if got := inode(t); got != home {
		t.Errorf("left in namespace %d, was in %d", got, home)
	}
}

func TestOpenNamespaceOfWhatIsNone(t *testing.T) {
	if _, err := OpenNamespace(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := OpenNamespace(file); err == nil {
		n.Leave()
		t.Error("a file is taken for a namespace")
	}
}

func TestNoNamespaceIsHere(t *testing.T) {
	var n *Namespace
	fd, err := n.Socket(unix.AF_INET, unix.SOCK_STREAM)
	if err != nil || n.Left() || n.String() != "" {
		t.Fatal(err)
	}
	unix.Close(fd)
}

func BenchmarkNamespaceSocket(b *testing.B) {
	n, err := OpenNamespace("/proc/thread-self/ns/net")
	if err != nil {
		b.Skip(err)
	}
	defer n.Leave()
	for b.Loop() {
		fd, err := n.Socket(unix.AF_INET, unix.SOCK_STREAM)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(fd)
	}
}
