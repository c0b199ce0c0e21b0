package netio

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
)

func TestReadHoldsNoMemoryWhileItWaits(t *testing.T) {
	a, b := socketpair(t)
	var buf buffer.Buf
	if err := a.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ReadBuf(&buf); !errors.Is(err, os.ErrDeadlineExceeded) || buf.Holds() {
		t.Fatalf("%v, holds memory: %v", err, buf.Holds())
	}
	if err := a.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { write(t, b, "abc") })
	if n, err := a.ReadBuf(&buf); n != 3 || err != nil || string(buf.Bytes()) != "abc" {
		t.Errorf("%d, %v, %q", n, err, buf.Bytes())
	}
	wg.Wait()
	buf.Discard()
}

func TestEndsAreTold(t *testing.T) {
	t.Run("half-close", func(t *testing.T) {
		a, b := tcpPair(t)
		write(t, a, "x")
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, b, 1); got != "x" {
			t.Error(got)
		}
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%v, want EOF", err)
		}
		write(t, b, "y") // the other direction is open
		if got := read(t, a, 1); got != "y" {
			t.Error(got)
		}
	})
	t.Run("reset", func(t *testing.T) {
		a, b := tcpPair(t)
		if err := a.Reset(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v, want ECONNRESET", err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%v, want EPIPE", err)
		}
	})
	t.Run("closed here", func(t *testing.T) {
		a, _ := tcpPair(t)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		_, rerr := a.Read(make([]byte, 1))
		_, werr := a.Writev([]byte("x"), []byte("y"))
		for what, err := range map[string]error{
			"read": rerr, "write": werr, "close": a.Close(), "reset": a.Reset(), "half-close": a.CloseWrite(),
			"read deadline": a.SetReadDeadline(time.Time{}), "write deadline": a.SetWriteDeadline(time.Time{}),
		} {
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s: %v, want os.ErrClosed", what, err)
			}
		}
	})
	t.Run("closed here while reading", func(t *testing.T) {
		a, _ := tcpPair(t)
		got := make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); got <- err }()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-got; !errors.Is(err, os.ErrClosed) {
			t.Errorf("%v, want os.ErrClosed", err)
		}
	})
}

func TestWritevWritesAllInOrder(t *testing.T) {
	a, b := tcpPair(t)
	one, two := bytes.Repeat([]byte("1234567"), 300_000), bytes.Repeat([]byte("abc"), 700_000)
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := a.Writev(one, two); n != len(one)+len(two) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(b)
	wg.Wait()
	if err != nil || !bytes.Equal(got, append(one, two...)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestWriteDeadlineTellsWhatWentOut(t *testing.T) {
	a, b := tcpPair(t)
	data := make([]byte, 64<<20)
	if err := a.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := a.Write(data)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 64<<20 {
		t.Fatalf("%d, %v", n, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, b); got != int64(n) || err != nil {
		t.Errorf("%d bytes came, %v; %d went out", got, err, n)
	}
}

func TestAddresses(t *testing.T) {
	a, b := tcpPair(t)
	if a.LocalAddr() != b.RemoteAddr() || a.RemoteAddr() != b.LocalAddr() || !a.LocalAddr().IsValid() {
		t.Errorf("%s–%s, %s–%s", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
	}
	u, _ := socketpair(t)
	if u.LocalAddr() != (netip.AddrPort{}) {
		t.Errorf("a unix socket has the address %s", u.LocalAddr())
	}
	if a.Socket() != a {
		t.Error("a socket is not its own")
	}
}

func TestSocketsAllocateNothingPerMessage(t *testing.T) {
	a, b := socketpair(t)
	ta, tb := Timed{C: a}, Timed{C: b}
	msg, tail := []byte("hello, "), []byte("world")
	var buf buffer.Buf
	until := time.Now().Add(time.Hour)
	if n := testing.AllocsPerRun(1000, func() {
		if err := ta.GuardWrites(time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := ta.Writev(msg, tail, time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := ta.WriteUntil(msg, nil, until); err != nil {
			t.Fatal(err)
		}
		for buf.Len() < 2*len(msg)+len(tail) {
			if _, err := tb.ReadBuf(&buf, until); err != nil {
				t.Fatal(err)
			}
		}
		buf.Consume(buf.Len())
		buf.Release()
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
