package netio

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/buffer"
)

// onLoops gives two connected sockets on loops of the test's own.
func onLoops(t *testing.T) (a, b *Socket, l *Loops) {
	t.Helper()
	l, err := NewLoops(2)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	pair := func() (*Socket, *Socket) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var s [2]*Socket
		for i, fd := range fds {
			if s[i], err = l.NewSocket(fd, netip.AddrPort{}, netip.AddrPort{}, i); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s[i].Close() })
		}
		return s[0], s[1]
	}
	a, b = pair()
	return a, b, l
}

// eventually waits for what a loop brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestALoopKnowsWithoutAsking(t *testing.T) {
	a, b, _ := onLoops(t)
	eventually(t, "quiet", func() bool { return a.Quiet() })
	d := a.d.(*loopFD)
	if d.r.has(ready) {
		t.Error("a socket that nothing came for is ready")
	}
	if _, err := b.Write([]byte("stray")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready", func() bool { return d.r.has(ready) })
	if a.Quiet() {
		t.Error("a socket that was spoken to is quiet")
	}
	var in buffer.Buf
	if n, err := a.ReadBuf(&in); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if d.r.has(ready) || !a.Quiet() {
		t.Error("a short read did not tell that all was taken")
	}
	in.Discard()
	if _, err := b.Write([]byte("12")); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	for range 2 { // a read that fills its space says nothing of the rest
		if n, err := a.Read(one); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
}

func TestALoopTellsOfHangUps(t *testing.T) {
	a, b, _ := onLoops(t)
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.ep.Close()
	told := make(chan struct{})
	if err := w.Add(a, func() { close(told) }); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	<-told
	if !a.HungUp() || a.Quiet() {
		t.Error("a hang-up was told and is not known")
	}
	for range 3 { // it stays so
		if _, err := a.Read(make([]byte, 8)); err != io.EOF {
			t.Error(err)
		}
	}
	late := false
	if err := w.Add(a, func() { late = true }); err != nil || !late {
		t.Error("what happened before was not told", err)
	}
}

func TestADeadlineThatWasMovedIsNotDue(t *testing.T) {
	a, b, _ := onLoops(t)
	d := a.d.(*loopFD)
	if err := a.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	d.r.due() // a timer that fires late, after it was moved
	if d.r.has(expired) {
		t.Error("expired an hour early")
	}
	if err := a.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if err := a.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestDescriptorsAreReusedUnderLoad opens, uses and closes sockets on many
// goroutines: no event may reach the next owner of a descriptor's number, and none
// may be lost.
func TestDescriptorsAreReusedUnderLoad(t *testing.T) {
	_, _, l := onLoops(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Error(err)
					return
				}
				a, err := l.NewSocket(fds[0], netip.AddrPort{}, netip.AddrPort{}, 0)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := l.NewSocket(fds[1], netip.AddrPort{}, netip.AddrPort{}, 1)
				if err != nil {
					t.Error(err)
					return
				}
				echoed := make(chan struct{})
				go func() {
					defer close(echoed)
					p := make([]byte, 64)
					for {
						n, err := b.Read(p)
						if err != nil {
							return
						}
						if _, err := b.Write(p[:n]); err != nil {
							return
						}
					}
				}()
				p := make([]byte, 64)
				for range 5 {
					if _, err := a.Write([]byte("ping")); err != nil {
						t.Error(err)
					}
					if n, err := a.Read(p); err != nil || string(p[:n]) != "ping" {
						t.Errorf("%q %v", p[:n], err)
					}
				}
				_ = a.Close()
				<-echoed
				_ = b.Close()
			}
		})
	}
	wg.Wait()
	for _, p := range l.loops {
		eventually(t, "places are given back", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.table)-len(p.free) <= 1 // the test's own pair
		})
	}
}
