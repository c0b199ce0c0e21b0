package netio

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/buffer"
)

// A SpliceError says which side of a splice failed.
type SpliceError struct {
	Write bool // the destination's side
	Err   error
}

// Error implements error.
func (e *SpliceError) Error() string {
	if e.Write {
		return "splice out: " + e.Err.Error()
	}
	return "splice in: " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *SpliceError) Unwrap() error { return e.Err }

// pipeSize is how much a splice holds in the kernel, in bytes: fewer, larger
// moves cost the least CPU (docs/performance.md).
const pipeSize = 1 << 20

// A kernelPipe carries bytes from socket to socket.
type kernelPipe struct {
	r, w    int
	held    int // bytes inside
	cleanup runtime.Cleanup
}

// pipes keeps empty pipes for reuse. A pipe that the pool drops is closed by its
// cleanup.
var pipes sync.Pool

func getPipe() (*kernelPipe, error) {
	if p, ok := pipes.Get().(*kernelPipe); ok {
		return p, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	// Beyond the per-user limit the pipe stays at its default of 64 KiB.
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	p := &kernelPipe{r: fds[0], w: fds[1]}
	p.cleanup = runtime.AddCleanup(p, closePipe, fds)
	return p, nil
}

func closePipe(fds [2]int) {
	unix.Close(fds[0])
	unix.Close(fds[1])
}

func putPipe(p *kernelPipe) {
	if p.held > 0 {
		p.cleanup.Stop()
		closePipe([2]int{p.r, p.w})
		return
	}
	pipes.Put(p)
}

// Progress is told after each move how many bytes went through.
type Progress func(n int)

// Splice moves bytes from src to dst inside the kernel until n have gone through
// (n < 0: until src ends), or until nothing moves for idle or the moment until
// passes; zero is no bound. It gives how many bytes reached dst; io.EOF is not an
// error when n < 0. Both must be sockets, with no bytes buffered in the program.
//
// Bytes that were taken from src and could not be given to dst are lost, as they
// are with any copy.
func Splice(dst, src *Timed, n int64, idle time.Duration, until time.Time, progress Progress) (moved int64, err error) {
	bound := func() time.Time { return soonest(until, idle) }
	moved, err = splice(dst, src, n, bounds{bound, bound, false}, progress)
	var se *SpliceError
	if n < 0 && errors.As(err, &se) && se.Err == io.EOF {
		return moved, nil
	}
	return moved, err
}

// A Passage moves all that a socket sends to another one, inside the kernel.
type Passage struct {
	Dst, Src *Timed
	// Quiet is how long Src may send nothing; then Run ends with
	// os.ErrDeadlineExceeded, and may be called again. 0 waits for ever.
	Quiet time.Duration
	// Until gives the moment until which either side may be waited for. It is asked
	// anew when that has passed, and may then give a later one; zero is no bound.
	Until func() time.Time
	// Progress may be nil.
	Progress Progress
}

// Run moves bytes until the source ends, for which it gives a *SpliceError of
// io.EOF.
func (p *Passage) Run() error {
	fill := func() time.Time { return soonest(p.Until(), p.Quiet) }
	_, err := splice(p.Dst, p.Src, -1, bounds{fill, p.Until, true}, p.Progress)
	return err
}

// bounds are asked, when a wait begins, until when it may last.
type bounds struct {
	fill, drain func() time.Time
	// extends says that drain is asked again when a wait has passed its bound: the
	// bytes in the pipe would be lost, and the other direction may be alive.
	extends bool
}

// again tells whether a write that took so long may go on.
func (b *bounds) again(err error, until time.Time) bool {
	return b.extends && errors.Is(err, os.ErrDeadlineExceeded) && b.drain().After(until)
}

// splice moves up to n bytes, or all when n < 0.
func splice(dst, src *Timed, n int64, b bounds, progress Progress) (moved int64, err error) {
	p, err := getPipe()
	if err != nil {
		return carry(dst, src, n, b, progress)
	}
	defer putPipe(p)
	for n < 0 || moved < n {
		want := pipeSize
		if n >= 0 {
			want = int(min(int64(want), n-moved))
		}
		if err := fillPipe(src, p, want, b.fill()); err != nil {
			return moved, &SpliceError{Err: err}
		}
		for p.held > 0 {
			until := b.drain()
			k, err := drainPipe(dst, p, until)
			moved += int64(k)
			if k > 0 && progress != nil {
				progress(k)
			}
			if err != nil && !b.again(err, until) {
				return moved, &SpliceError{Write: true, Err: err}
			}
		}
	}
	return moved, nil
}

// carry is splice without a pipe, for when there are no descriptors left.
func carry(dst, src *Timed, n int64, b bounds, progress Progress) (moved int64, err error) {
	block := buffer.GetLarge()
	defer buffer.PutLarge(block)
	for n < 0 || moved < n {
		p := *block
		if n >= 0 {
			p = p[:min(int64(len(p)), n-moved)]
		}
		k, err := src.Read(p, b.fill())
		if err != nil {
			return moved, &SpliceError{Err: err}
		}
		for p = p[:k]; len(p) > 0; {
			until := b.drain()
			k, err := dst.WriteUntil(p, nil, until)
			moved, p = moved+int64(k), p[k:]
			if k > 0 && progress != nil {
				progress(k)
			}
			if err != nil && k == 0 && !b.again(err, until) {
				return moved, &SpliceError{Write: true, Err: err}
			}
		}
	}
	return moved, nil
}

func soonest(until time.Time, idle time.Duration) time.Time {
	if idle == 0 {
		return until
	}
	at := time.Now().Add(idle)
	if !until.IsZero() && until.Before(at) {
		return until
	}
	return at
}

const spliceFlags = unix.SPLICE_F_MOVE | unix.SPLICE_F_NONBLOCK

// fillPipe waits for bytes of src and moves them into the pipe.
func fillPipe(t *Timed, p *kernelPipe, want int, until time.Time) error {
	for {
		if err := t.armRead(until); err != nil {
			return err
		}
		var n int64
		var serr error
		err := t.C.Socket().d.Read(func(fd uintptr) bool {
			for {
				n, serr = unix.Splice(int(fd), nil, p.w, nil, want, spliceFlags)
				if serr != unix.EINTR {
					return serr != unix.EAGAIN
				}
			}
		}, nil)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := t.woken(until); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case serr != nil:
			return os.NewSyscallError("splice", serr)
		case n == 0:
			return io.EOF
		}
		p.held += int(n)
		return nil
	}
}

// drainPipe waits for room in dst and moves what the pipe holds, or a part.
func drainPipe(t *Timed, p *kernelPipe, until time.Time) (int, error) {
	for {
		if err := t.armWrite(until); err != nil {
			return 0, err
		}
		var n int64
		var serr error
		err := t.C.Socket().d.Write(func(fd uintptr) bool {
			for {
				n, serr = unix.Splice(p.r, nil, int(fd), nil, p.held, spliceFlags)
				if serr != unix.EINTR {
					return serr != unix.EAGAIN
				}
			}
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !until.IsZero() && !time.Now().Before(until) {
				return 0, err
			}
			if err := t.rested(until); err != nil {
				return 0, err
			}
			continue
		case err != nil:
			return 0, err
		case serr != nil:
			return 0, os.NewSyscallError("splice", serr)
		}
		p.held -= int(n)
		return int(n), nil
	}
}
