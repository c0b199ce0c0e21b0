package tcp

import (
	"errors"
	"os"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/netio"
)

// A flow is one direction of a Copy. One goroutine runs it.
type flow struct {
	c        *copier
	from, to Side
	told     func(n int)
	src, dst netio.Timed
	moved    uint64
}

// run moves bytes until the direction is over.
func (f *flow) run() {
	f.src, f.dst = netio.Timed{C: f.from.Conn}, netio.Timed{C: f.to.Conn}
	if len(f.from.Buffered) > 0 && !f.write(f.from.Buffered) {
		return
	}
	f.from.Buffered = nil
	if f.from.Written != nil {
		f.from.Written()
	}
	canSplice := f.from.Conn.Socket() != nil && f.to.Conn.Socket() != nil
	for f.copy(canSplice) && f.splice() {
	}
}

// copy moves bytes through memory until the direction is over, or until it is
// worth a pipe: then it gives true.
func (f *flow) copy(canSplice bool) bool {
	var buf buffer.Buf
	defer buf.Discard()
	streak := 0
	for {
		n, err := f.src.ReadBuf(&buf, f.c.until())
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && !f.c.expired() {
				continue
			}
			f.c.sourceEnded(f.from.Conn, f.to.Conn, err)
			return false
		}
		if !f.write(buf.Bytes()) {
			return false
		}
		buf.Discard()
		if n < large {
			streak = 0
		} else if streak += n; canSplice && streak >= spliceAfter {
			return true
		}
	}
}

// write writes all of p; a peer that takes nothing is waited for as long as the
// other direction is alive.
func (f *flow) write(p []byte) bool {
	for {
		n, err := f.dst.WriteUntil(p, nil, f.c.until())
		f.progress(n)
		p = p[n:]
		switch {
		case err == nil:
			return true
		case errors.Is(err, os.ErrDeadlineExceeded) && !f.c.expired():
		default:
			f.c.writeFailed(f.to.Conn, err)
			return false
		}
	}
}

func (f *flow) progress(n int) {
	if n == 0 {
		return
	}
	f.moved += uint64(n)
	f.c.touch()
	if f.told != nil {
		f.told(n)
	}
}

// splice moves bytes inside the kernel until the direction is over, or until it
// has been quiet for a while: then it gives true.
func (f *flow) splice() bool {
	p := netio.Passage{Dst: &f.dst, Src: &f.src, Quiet: spliceIdle, Until: f.c.until, Progress: f.progress}
	err := p.Run()
	var se *netio.SpliceError
	switch {
	case errors.As(err, &se) && se.Write:
		f.c.writeFailed(f.to.Conn, se.Err)
		return false
	case errors.Is(err, os.ErrDeadlineExceeded) && !f.c.expired():
		return true
	case se != nil:
		err = se.Err
	}
	f.c.sourceEnded(f.from.Conn, f.to.Conn, err)
	return false
}
