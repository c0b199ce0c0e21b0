package tcp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/netio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a Copy between two connections in memory: client – a ⇄ b – server.
type lab struct {
	client, server netio.Conn
	a, b           netio.Conn
	res            chan Result
}

func newLab(limit int, o Options) *lab {
	l := &lab{res: make(chan Result, 1)}
	l.client, l.a = netio.Pipe(limit)
	l.b, l.server = netio.Pipe(limit)
	go func() { l.res <- Copy(Side{Conn: l.a}, Side{Conn: l.b}, o) }()
	return l
}

func (l *lab) close() {
	for _, c := range []netio.Conn{l.client, l.server, l.a, l.b} {
		_ = c.Close()
	}
}

func pass(d time.Duration) { <-time.NewTimer(d).C }

func write(t *testing.T, c netio.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c netio.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHalfClosePassesThroughEitherWay(t *testing.T) {
	for _, first := range []string{"client", "server"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(0, Options{Idle: time.Hour})
				defer l.close()
				one, other := l.client, l.server
				if first == "server" {
					one, other = other, one
				}
				write(t, one, "question")
				if err := one.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(other); string(got) != "question" || err != nil {
					t.Fatalf("%q, %v", got, err)
				}
				pass(time.Minute) // the other direction is alive
				write(t, other, "the answer")
				if err := other.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(one); string(got) != "the answer" || err != nil {
					t.Fatalf("%q, %v", got, err)
				}
				r := <-l.res
				if r.Reason != Finished || r.Err != nil || r.AToB+r.BToA != 18 {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestResetPassesThrough(t *testing.T) {
	f := func(name string, hit func(l *lab) netio.Conn, want Reason) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(0, Options{})
				defer l.close()
				write(t, l.client, "ab")
				if got := read(t, l.server, 2); got != "ab" {
					t.Fatal(got)
				}
				victim := hit(l)
				if _, err := victim.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the other side sees %v, want a reset", err)
				}
				if r := <-l.res; r.Reason != want || !errors.Is(r.Err, syscall.ECONNRESET) {
					t.Errorf("%+v", r)
				}
			})
		})
	}
	f("of the client", func(l *lab) netio.Conn { l.client.Reset(); return l.server }, AFailed)
	f("of the server", func(l *lab) netio.Conn { l.server.Reset(); return l.client }, BFailed)
}

func TestWhatAServerSentBeforeItWentIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(0, Options{})
		defer l.close()
		write(t, l.server, "413 and good-bye")
		if err := l.server.Close(); err != nil {
			t.Fatal(err)
		}
		write(t, l.client, "still sending") // which breaks on the server's side
		if got := read(t, l.client, 16); got != "413 and good-bye" {
			t.Error(got)
		}
		if r := <-l.res; r.Reason != BFailed || r.BToA != 16 {
			t.Errorf("%+v", r)
		}
		if _, err := l.client.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

func TestIdleTimeoutIsOfBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(0, Options{Idle: time.Minute})
		defer l.close()
		start := time.Now()
		for range 10 { // only one direction talks
			pass(50 * time.Second)
			write(t, l.server, "tick")
			read(t, l.client, 4)
		}
		r := <-l.res
		if got := time.Since(start); r.Reason != IdleTimeout || r.Err != nil || got != 500*time.Second+time.Minute {
			t.Errorf("%+v after %v", r, got)
		}
		if _, err := l.client.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestIdleTimeoutHoldsAfterAHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(0, Options{Idle: time.Minute})
		defer l.close()
		start := time.Now()
		pass(30 * time.Second)
		if err := l.client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if r := <-l.res; r.Reason != IdleTimeout || time.Since(start) != time.Minute {
			t.Errorf("%+v after %v", r, time.Since(start))
		}
	})
}

func TestAReaderThatStallsIsWaitedForWhileTheOtherDirectionTalks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(8, Options{Idle: time.Minute})
		defer l.close()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 30 {
				pass(30 * time.Second)
				write(t, l.server, "tick")
				read(t, l.client, 4)
			}
			if got := read(t, l.server, 40); got != "0123456789012345678901234567890123456789" {
				t.Error(got)
			}
		})
		write(t, l.client, "0123456789012345678901234567890123456789")
		wg.Wait()
		start := time.Now()
		if r := <-l.res; r.Reason != IdleTimeout || r.AToB != 40 || r.BToA != 120 {
			t.Errorf("%+v after %v", r, time.Since(start))
		}
	})
}

func TestAReaderThatStallsForGoodEndsTheCopy(t *testing.T) {
	f := func(name string, o func() Options, want Reason, after time.Duration) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(8, o())
				defer l.close()
				start := time.Now()
				go func() { _, _ = l.client.Write(make([]byte, 100)) }()
				// The server has said all it wants to say, and reads nothing.
				if err := l.server.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if r := <-l.res; r.Reason != want || time.Since(start) != after {
					t.Errorf("%+v after %v", r, time.Since(start))
				}
			})
		})
	}
	f("idle", func() Options { return Options{Idle: time.Minute} }, IdleTimeout, time.Minute)
	f("deadline", func() Options { return Options{Deadline: time.Now().Add(time.Hour)} }, DeadlinePassed, time.Hour)
	f("both", func() Options { return Options{Idle: time.Hour, Deadline: time.Now().Add(time.Minute)} }, DeadlinePassed, time.Minute)
}

func TestDeadlineEndsABusyCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(0, Options{Idle: time.Minute, Deadline: time.Now().Add(10*time.Minute + time.Second)})
		defer l.close()
		start := time.Now()
		go func() {
			for {
				pass(10 * time.Second)
				if _, err := l.client.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, l.server) }()
		r := <-l.res
		if r.Reason != DeadlinePassed || time.Since(start) != 10*time.Minute+time.Second {
			t.Errorf("%+v after %v", r, time.Since(start))
		}
		pass(time.Minute)
	})
}

func TestBufferedGoesFirstAndIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, a := netio.Pipe(0)
		b, server := netio.Pipe(0)
		defer client.Close()
		write(t, client, " world")
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		held := []byte("hello")
		var told, back int
		res := make(chan Result, 1)
		go func() {
			res <- Copy(Side{Conn: a, Buffered: held, Written: func() { copy(held, "XXXXX") }}, Side{Conn: b},
				Options{AToB: func(n int) { told += n }, BToA: func(n int) { back += n }})
		}()
		if got, err := io.ReadAll(server); string(got) != "hello world" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		write(t, server, "ok")
		server.Close()
		if r := <-res; r.AToB != 11 || r.BToA != 2 || told != 11 || back != 2 || string(held) != "XXXXX" {
			t.Errorf("%+v, told of %d and %d, %q", r, told, back, held)
		}
	})
}

func TestClosingOneSideFromOutsideEndsBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(0, Options{})
		defer l.close()
		synctest.Wait()
		if err := l.a.Close(); err != nil {
			t.Fatal(err)
		}
		if r := <-l.res; r.Reason != AFailed || !errors.Is(r.Err, os.ErrClosed) {
			t.Errorf("%+v", r)
		}
		if got, err := io.ReadAll(l.server); len(got) > 0 || err != nil {
			t.Error(got, err)
		}
	})
}

func TestBytesAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(1000, Options{Idle: time.Minute})
		defer l.close()
		data := bytes.Repeat([]byte("0123456789"), 100_000)
		go func() { _, _ = l.client.Write(data); _ = l.client.CloseWrite() }()
		go func() {
			_, _ = io.Copy(struct{ io.Writer }{l.server}, struct{ io.Reader }{l.server})
			_ = l.server.CloseWrite()
		}()
		got, err := io.ReadAll(l.client)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if r := <-l.res; r.Reason != Finished || r.AToB != 1_000_000 || r.BToA != 1_000_000 {
			t.Errorf("%+v", r)
		}
	})
}
