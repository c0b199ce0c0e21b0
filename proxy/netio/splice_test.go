package netio

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// passage is a connection whose bytes go through a splice: in → src ⇒ dst → out.
func passage(t testing.TB) (in, src, dst, out *Socket) {
	t.Helper()
	in, src = tcpPair(t)
	dst, out = tcpPair(t)
	return in, src, dst, out
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// sends writes and finishes.
func sends(t testing.TB, wg *sync.WaitGroup, c Conn, b []byte) {
	wg.Go(func() {
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
}

func TestSpliceMovesEveryByte(t *testing.T) {
	in, src, dst, out := passage(t)
	data := noise(20 << 20)
	var wg sync.WaitGroup
	sends(t, &wg, in, data)
	told := 0
	wg.Go(func() {
		n, err := Splice(&Timed{C: dst}, &Timed{C: src}, -1, time.Minute, time.Time{}, func(n int) { told += n })
		if n != int64(len(data)) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if err := dst.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	h := crc32.NewIEEE()
	n, err := io.Copy(h, out)
	wg.Wait()
	if err != nil || n != int64(len(data)) || h.Sum32() != crc32.ChecksumIEEE(data) || told != len(data) {
		t.Errorf("%d bytes, %v, told of %d", n, err, told)
	}
}

func TestSpliceMovesNoMoreThanAsked(t *testing.T) {
	in, src, dst, out := passage(t)
	data := noise(3 << 20)
	var wg sync.WaitGroup
	sends(t, &wg, in, data)
	const n = 2<<20 + 17
	wg.Go(func() {
		got, err := Splice(&Timed{C: dst}, &Timed{C: src}, n, time.Minute, time.Time{}, nil)
		if got != n || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		rest, err := io.ReadAll(src)
		if err != nil || !bytes.Equal(rest, data[n:]) {
			t.Errorf("%d bytes are left, %v", len(rest), err)
		}
		dst.Close()
	})
	if got, err := io.ReadAll(out); err != nil || !bytes.Equal(got, data[:n]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	wg.Wait()
}

func TestSpliceSaysWhichSideFailed(t *testing.T) {
	long := time.Now().Add(time.Minute)
	f := func(name string, n int64, prepare func(in, src, dst, out *Socket), write bool, want error) {
		t.Run(name, func(t *testing.T) {
			in, src, dst, out := passage(t)
			prepare(in, src, dst, out)
			_, err := Splice(&Timed{C: dst}, &Timed{C: src}, n, 20*time.Millisecond, long, nil)
			var se *SpliceError
			if !errors.As(err, &se) || se.Write != write || !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		})
	}
	f("the source ends early", 10, func(in, _, _, _ *Socket) { write(t, in, "abc"); in.CloseWrite() }, false, io.EOF)
	f("the source is reset", -1, func(in, _, _, _ *Socket) { in.Reset() }, false, syscall.ECONNRESET)
	f("the source is silent", -1, func(in, _, _, _ *Socket) {}, false, os.ErrDeadlineExceeded)
	f("the source is closed here", -1, func(_, src, _, _ *Socket) { src.Close() }, false, os.ErrClosed)
	f("the destination is reset", -1, func(in, _, dst, out *Socket) {
		out.Reset()
		dst.Read(make([]byte, 1)) // it has arrived
		write(t, in, "abc")
	}, true, syscall.EPIPE)
	f("the destination takes nothing", -1, func(in, _, dst, _ *Socket) {
		fill(t, dst)
		fill(t, in) // a few bytes might still be taken
	}, true, os.ErrDeadlineExceeded)
}

// fill writes until nothing is taken any more.
func fill(t testing.TB, s *Socket) {
	t.Helper()
	b := make([]byte, 1<<20)
	for n := 1; n > 0; {
		if err := s.SetWriteDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var err error
		if n, err = s.Write(b); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if err := s.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func TestPassageWaitsForASlowReaderButNotForAQuietSource(t *testing.T) {
	in, src, dst, out := passage(t)
	fill(t, dst)
	fill(t, in)
	const quiet = 20 * time.Millisecond
	asked := 0
	p := Passage{Dst: &Timed{C: dst}, Src: &Timed{C: src}, Quiet: quiet, Until: func() time.Time {
		if asked++; asked == 8 {
			// It has waited long beyond Quiet: now the reader reads.
			go func() { _, _ = io.Copy(io.Discard, out) }()
		}
		return time.Now().Add(quiet)
	}}
	moved := 0
	p.Progress = func(n int) { moved += n }
	if err := p.Run(); !errors.Is(err, os.ErrDeadlineExceeded) || asked < 8 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	// It may go on where it ended.
	before := moved
	write(t, in, "defg")
	if err := in.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); !errors.Is(err, io.EOF) || moved != before+4 {
		t.Errorf("%v, moved %d", err, moved)
	}
	dst.Close()
	in.Close()
}

func TestCarryIsSpliceWithoutAPipe(t *testing.T) {
	in, src, dst, out := passage(t)
	data := noise(3 << 20)
	var wg sync.WaitGroup
	sends(t, &wg, in, data)
	wg.Go(func() {
		never := func() time.Time { return time.Time{} }
		n, err := carry(&Timed{C: dst}, &Timed{C: src}, 3<<20, bounds{never, never, false}, nil)
		if n != 3<<20 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		dst.Close()
	})
	if got, err := io.ReadAll(out); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	wg.Wait()
}

func TestPipesAreUsedAgainAndClosedInTheEnd(t *testing.T) {
	before := descriptors(t)
	p, err := getPipe()
	if err != nil {
		t.Fatal(err)
	}
	fd := p.r
	putPipe(p)
	again := false
	for range 100 { // the pool may drop it, at random under the race detector
		q, err := getPipe()
		if err != nil {
			t.Fatal(err)
		}
		again = again || q.r == fd
		fd = q.r
		putPipe(q)
	}
	if !again {
		t.Error("no pipe was used twice")
	}
	used, err := getPipe()
	if err != nil {
		t.Fatal(err)
	}
	used.held = 1
	r := used.r
	putPipe(used) // closed: its bytes are nobody's
	if _, err := fcntl(r); err == nil {
		t.Error("a pipe with bytes in it was kept")
	}
	p, used = nil, nil
	for end := time.Now().Add(10 * time.Second); descriptors(t) > before; runtime.GC() {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, before there were %d", descriptors(t), before)
		}
	}
}

func fcntl(fd int) (uintptr, error) {
	n, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if e != 0 {
		return 0, e
	}
	return n, nil
}
