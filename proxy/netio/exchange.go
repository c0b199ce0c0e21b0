package netio

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/buffer"
)

// exchange sends p and waits for the answer with one system call less than a
// write and a read: an answer cannot be there before the question, so nothing is
// read until the poller says that something came.
//
// The poller forgets, when a read begins, what it saw before. That is why the
// sending happens inside the read: whatever comes after it is seen. It must only be
// used when nothing but an answer can come, as upstream on a connection that was
// found quiet (Quiet); that a peer has finished since is noticed by its refusal of
// what is sent, or by the next ordinary read.
//
// sent is how much of p went; when that is not all, nothing was waited for.
func (s *Socket) exchange(p []byte, b *buffer.Buf) (sent, n int, err error) {
	if s.efunc == nil {
		s.efunc = s.tryExchange
	}
	s.ep, s.esent, s.rp, s.rbuf = p, 0, nil, b
	err = s.d.Read(s.efunc, &s.rall)
	sent, n = s.esent, s.rn
	s.ep, s.rbuf, s.rn = nil, nil, 0
	if err != nil {
		return sent, 0, err
	}
	return sent, n, s.rerr
}

// tryExchange is what the poller calls: it sends, and from the second call on
// reads.
func (s *Socket) tryExchange(fd uintptr) bool {
	if s.esent == len(s.ep) {
		return s.tryRead(fd)
	}
	for {
		n, errno := rawSend(fd, s.ep)
		switch errno {
		case 0:
			s.esent = n
			s.rerr = nil
			return n < len(s.ep)
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.rerr = nil
		default:
			s.rerr = os.NewSyscallError("sendto", errno)
		}
		return true
	}
}

// Exchange writes p and reads the first bytes of the answer into b; see
// Socket.exchange for when it may be used. writeIdle is as in Writev, until as in
// ReadBuf. sent is how much of p went; a failed write leaves n zero.
func (t *Timed) Exchange(p []byte, b *buffer.Buf, writeIdle time.Duration, until time.Time) (sent, n int, err error) {
	s := t.C.Socket()
	if s != nil {
		if _, ok := s.d.(*loopFD); ok {
			s = nil // a loop forgets nothing: a write and a read are as good
		}
	}
	for s != nil {
		if err := t.armRead(until); err != nil {
			return 0, 0, err
		}
		sent, n, err = s.exchange(p, b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err := t.woken(until); err != nil {
			return sent, 0, err
		}
		if sent > 0 {
			break // it went; what is left is an ordinary read
		}
	}
	switch {
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded), n > 0:
		return sent, n, err
	case sent < len(p):
		if err := t.GuardWrites(writeIdle); err != nil {
			return sent, 0, err
		}
		k, err := t.Writev(p[sent:], nil, writeIdle)
		sent += k
		if err != nil {
			return sent, 0, err
		}
	}
	n, err = t.ReadBuf(b, until)
	return sent, n, err
}
