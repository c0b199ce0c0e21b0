package netio

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/buffer"
)

// A Socket is a Conn on a non-blocking stream socket.
//
// The closures handed to the poller are made once a socket: arguments and
// results travel in the fields beside them, so that reading and writing allocate
// nothing.
type Socket struct {
	f   *os.File
	raw syscall.RawConn

	// owned by the reading goroutine
	rp    []byte
	rbuf  *buffer.Buf
	rn    int
	rerr  error
	rfunc func(fd uintptr) bool

	// owned by the reading goroutine, in exchange
	ep    []byte
	esent int
	efunc func(fd uintptr) bool
	quiet bool // what tryQuiet found
	qfunc func(fd uintptr)

	// owned by the writing goroutine
	wp, wq []byte
	wn     int
	werr   error
	wfunc  func(fd uintptr) bool

	local, remote netip.AddrPort // remote is set in New; local there or by askLocal
	askLocal      sync.Once
	hup           atomic.Bool // set by a Watcher
	onHangup      atomic.Pointer[func()]
}

// NewSocket takes ownership of a connected or connecting non-blocking socket.
// An invalid local address is asked for when first needed.
func NewSocket(fd int, local, remote netip.AddrPort) (*Socket, error) {
	f := os.NewFile(uintptr(fd), "")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Socket{f: f, raw: raw, local: local, remote: remote}
	if local.IsValid() {
		s.askLocal.Do(func() {})
	}
	s.rfunc, s.wfunc = s.tryRead, s.tryWrite
	return s, nil
}

// Read implements Conn.
func (s *Socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.rp, s.rbuf = p, nil
	return s.read()
}

// ReadBuf implements Conn.
func (s *Socket) ReadBuf(b *buffer.Buf) (int, error) {
	s.rp, s.rbuf = nil, b
	return s.read()
}

func (s *Socket) read() (int, error) {
	err := s.raw.Read(s.rfunc)
	n := s.rn
	s.rp, s.rbuf, s.rn = nil, nil, 0
	if err != nil {
		return 0, plain(err)
	}
	return n, s.rerr
}

// tryRead is what the poller calls: true when the read is done.
func (s *Socket) tryRead(fd uintptr) bool {
	p, fresh := s.rp, false
	if s.rbuf != nil {
		fresh = !s.rbuf.Holds()
		p = s.rbuf.Space(minRead)
	}
	for {
		n, errno := rawRead(fd, p)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			if fresh {
				s.rbuf.Discard()
			}
			return false
		case errno != 0:
			s.rn, s.rerr = 0, os.NewSyscallError("recvfrom", errno)
		case n == 0:
			s.rn, s.rerr = 0, io.EOF
		default:
			s.rn, s.rerr = n, nil
			if s.rbuf != nil {
				s.rbuf.Commit(n)
			}
		}
		return true
	}
}

// minRead is the least room a read is offered, in bytes: less would make many
// small reads of a body.
const minRead = 4 << 10

// Write implements Conn.
func (s *Socket) Write(p []byte) (int, error) { return s.Writev(p, nil) }

// Writev implements Conn.
func (s *Socket) Writev(a, b []byte) (int, error) {
	s.wp, s.wq, s.wn, s.werr = a, b, 0, nil
	err := s.raw.Write(s.wfunc)
	n := s.wn
	s.wp, s.wq = nil, nil
	if err != nil {
		return n, plain(err)
	}
	return n, s.werr
}

// tryWrite is what the poller calls: true when all is written or failed.
func (s *Socket) tryWrite(fd uintptr) bool {
	for len(s.wp)+len(s.wq) > 0 {
		var n int
		var errno syscall.Errno
		switch {
		case len(s.wp) == 0:
			n, errno = rawSend(fd, s.wq)
		case len(s.wq) == 0:
			n, errno = rawSend(fd, s.wp)
		default:
			n, errno = rawWritev(fd, s.wp, s.wq)
		}
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return false
		case errno != 0:
			s.werr = os.NewSyscallError("write", errno)
			return true
		}
		s.wn += n
		k := min(n, len(s.wp))
		s.wp, s.wq = s.wp[k:], s.wq[n-k:]
	}
	return true
}

// The system calls below are made without telling the scheduler: the descriptor
// is non-blocking, so they do not wait, and a P is not handed off and back.

// recvfrom and sendto are the shortest ways into the network stack; read and
// write go through the file system's checks first.

func rawRead(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
	return int(n), e
}

func rawSend(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}

func rawWritev(fd uintptr, a, b []byte) (int, syscall.Errno) {
	iov := [2]unix.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	iov[0].SetLen(len(a))
	iov[1].SetLen(len(b))
	n, _, e := syscall.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov)), 2)
	return int(n), e
}

// SetReadDeadline implements Conn.
func (s *Socket) SetReadDeadline(t time.Time) error { return plain(s.f.SetReadDeadline(t)) }

// SetWriteDeadline implements Conn.
func (s *Socket) SetWriteDeadline(t time.Time) error { return plain(s.f.SetWriteDeadline(t)) }

// CloseWrite implements Conn.
func (s *Socket) CloseWrite() error {
	var e error
	err := s.raw.Control(func(fd uintptr) { e = os.NewSyscallError("shutdown", unix.Shutdown(int(fd), unix.SHUT_WR)) })
	if err != nil {
		return plain(err)
	}
	return e
}

// Close implements Conn.
func (s *Socket) Close() error {
	err := s.f.Close()
	if errors.Is(err, os.ErrClosed) {
		return os.ErrClosed
	}
	return err
}

// Reset implements Conn: SO_LINGER with zero time makes close send a RST.
func (s *Socket) Reset() error {
	_ = s.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	return s.Close()
}

// LocalAddr implements Conn.
func (s *Socket) LocalAddr() netip.AddrPort {
	s.askLocal.Do(func() {
		_ = s.raw.Control(func(fd uintptr) {
			s.local = localName(fd)
		})
	})
	return s.local
}

// RemoteAddr implements Conn.
func (s *Socket) RemoteAddr() netip.AddrPort { return s.remote }

// Socket implements Conn.
func (s *Socket) Socket() *Socket { return s }

// Raw gives the poller's view of the socket, for splice and socket options.
func (s *Socket) Raw() syscall.RawConn { return s.raw }

// Quiet tells whether the peer has neither spoken nor left since the last byte
// that was read. A connection that is not quiet between two exchanges must not be
// used again: what came unasked would be taken for the next answer, and reach
// another client than it was meant for.
func (s *Socket) Quiet() bool {
	if s.qfunc == nil {
		s.qfunc = s.tryQuiet
	}
	s.quiet = false
	_ = s.raw.Control(s.qfunc) // it fails when the socket is closed
	return s.quiet
}

func (s *Socket) tryQuiet(fd uintptr) {
	var b [1]byte
	_, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	s.quiet = e == unix.EAGAIN
}

// HungUp tells whether a Watcher has seen the peer close its direction.
func (s *Socket) HungUp() bool { return s.hup.Load() }

// plain turns what os.File and the poller say of a socket into the errors that
// Conn promises: beside a deadline that passed, only a closed file keeps them from
// making the system call, and they have several errors for it.
func plain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	}
	return os.ErrClosed
}

// addrPort converts a socket address; an IPv4-mapped one becomes IPv4. A unix
// sockaddr converts the other way; family is AF_INET or AF_INET6.
func sockaddr(a netip.AddrPort) (family int, sa unix.Sockaddr) {
	ip := a.Addr()
	if ip.Is4() || ip.Is4In6() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.Unmap().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
}
