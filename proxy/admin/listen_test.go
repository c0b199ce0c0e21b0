package admin

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirproxy/weir/config/bootstrap"
)

func TestUnixSocket(t *testing.T) {
	w := newWorld(t, "", Options{})
	path := filepath.Join(t.TempDir(), "admin.sock")
	leaveStale(t, path)
	for _, mode := range []fs.FileMode{0o600, 0o660} {
		ln, err := Listen(t.Context(), &bootstrap.Admin{Network: "unix", Address: path, Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != mode {
			t.Errorf("mode %v, want %v (%v)", st.Mode().Perm(), mode, err)
		}
		if _, err := Listen(t.Context(), &bootstrap.Admin{Network: "unix", Address: path}); err == nil ||
			!strings.HasSuffix(err.Error(), "another process listens there") {
			t.Errorf("listening twice: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Serve(ctx, ln) }()
		// Any name will do: no browser gets here.
		code, _, body := ask(t, client("unix", path), "any.example", "GET /ready")
		if code != 200 || body != "LIVE\n" {
			t.Errorf("over the socket: %d %q", code, body)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket stays after the end")
		}
	}
}

// leaveStale leaves a socket as a process that was killed does.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(a bootstrap.Admin, want string) {
		t.Helper()
		ln, err := Listen(t.Context(), &a)
		if err == nil {
			_ = ln.Close()
			t.Fatalf("%v: listens", a)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", a, err, want)
		}
	}
	f(bootstrap.Admin{Network: "unix", Address: file}, "taken by something that is no socket")
	if b, err := os.ReadFile(file); err != nil || string(b) != "kept" {
		t.Errorf("the file was touched: %q %v", b, err)
	}
	f(bootstrap.Admin{Network: "unix", Address: filepath.Join(dir, "none", "s")}, "no such file")
	ln, err := Listen(t.Context(), &bootstrap.Admin{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	f(bootstrap.Admin{Network: "tcp", Address: ln.Addr().String()}, "address already in use")
}

func TestAbstractSocket(t *testing.T) {
	ln, err := Listen(t.Context(), &bootstrap.Admin{Network: "unix", Address: "@weir-admin-test-" + filepath.Base(t.TempDir()), Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}
