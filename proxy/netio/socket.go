package netio

import (
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
	d    driver
	loop int // where d is one of the Loops: which

	// owned by the reading goroutine
	rp    []byte
	rbuf  *buffer.Buf
	rn    int
	rerr  error
	rall  bool // the last read took all there was
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
	d, err := newRuntimePoller(fd)
	if err != nil {
		return nil, err
	}
	return makeSocket(d, local, remote), nil
}

func makeSocket(d driver, local, remote netip.AddrPort) *Socket {
	s := &Socket{d: d, local: local, remote: remote}
	if local.IsValid() {
		s.askLocal.Do(func() {})
	}
	s.rfunc, s.wfunc = s.tryRead, s.tryWrite
	return s
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
	err := s.d.Read(s.rfunc, &s.rall)
	n := s.rn
	s.rp, s.rbuf, s.rn = nil, nil, 0
	if err != nil {
		return 0, err
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
	s.rall = false
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
			s.rn, s.rerr, s.rall = n, nil, n < len(p)
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
	err := s.d.Write(s.wfunc)
	n := s.wn
	s.wp, s.wq = nil, nil
	if err != nil {
		return n, err
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
func (s *Socket) SetReadDeadline(t time.Time) error { return s.d.SetReadDeadline(t) }

// SetWriteDeadline implements Conn.
func (s *Socket) SetWriteDeadline(t time.Time) error { return s.d.SetWriteDeadline(t) }

// CloseWrite implements Conn.
func (s *Socket) CloseWrite() error {
	var e error
	err := s.d.Control(func(fd uintptr) { e = os.NewSyscallError("shutdown", unix.Shutdown(int(fd), unix.SHUT_WR)) })
	if err != nil {
		return err
	}
	return e
}

// Close implements Conn.
func (s *Socket) Close() error {
	return s.d.Close()
}

// Reset implements Conn: SO_LINGER with zero time makes close send a RST.
func (s *Socket) Reset() error {
	_ = s.d.Control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
	return s.Close()
}

// LocalAddr implements Conn.
func (s *Socket) LocalAddr() netip.AddrPort {
	s.askLocal.Do(func() {
		_ = s.d.Control(func(fd uintptr) {
			s.local = localName(fd)
		})
	})
	return s.local
}

// RemoteAddr implements Conn.
func (s *Socket) RemoteAddr() netip.AddrPort { return s.remote }

// Socket implements Conn.
func (s *Socket) Socket() *Socket { return s }

// Loop is the number of the loop the socket waits on. Sockets that are used by one
// goroutine are best on one loop: it then stays on one core.
func (s *Socket) Loop() int { return s.loop }

// Control calls f with the socket's descriptor, for socket options; it fails when
// the socket is closed.
func (s *Socket) Control(f func(fd uintptr)) error { return s.d.Control(f) }

// Quiet tells whether the peer has neither spoken nor left since the last byte
// that was read. A connection that is not quiet between two exchanges must not be
// used again: what came unasked would be taken for the next answer, and reach
// another client than it was meant for.
func (s *Socket) Quiet() bool {
	if d, ok := s.d.(*loopFD); ok && !d.r.has(ready|hungUp) {
		return true
	}
	if s.qfunc == nil {
		s.qfunc = s.tryQuiet
	}
	s.quiet = false
	_ = s.d.Control(s.qfunc) // it fails when the socket is closed
	return s.quiet
}

func (s *Socket) tryQuiet(fd uintptr) {
	var b [1]byte
	_, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	s.quiet = e == unix.EAGAIN
}

// HungUp tells whether a Watcher or the socket's loop has seen the peer close its
// direction.
func (s *Socket) HungUp() bool { return s.hup.Load() }

// Gone tells whether the peer has ended its direction and all its bytes were read,
// or the socket is closed or broken: whoever works for the peer can stop.
func (s *Socket) Gone() bool { return s.gone(func([]byte) bool { return false }) }

// GoneAfter is Gone for a peer that takes its leave in bytes: parting tells whether
// the first five that were not read are such.
func (s *Socket) GoneAfter(parting func(head []byte) bool) bool { return s.gone(parting) }

func (s *Socket) gone(parting func([]byte) bool) bool {
	gone := false
	err := s.d.Control(func(fd uintptr) {
		var b [5]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN, err == unix.EINTR:
		case err != nil || n == 0:
			gone = true
		case parting(b[:n]):
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
			_, err = unix.Poll(p, 0)
			gone = err == nil && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
		}
	})
	return gone || err != nil
}

// hangUp notes that the peer closed its direction, and tells who asked to know.
func (s *Socket) hangUp() {
	s.hup.Store(true)
	if f := s.onHangup.Swap(nil); f != nil {
		(*f)()
	}
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
