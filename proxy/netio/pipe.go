package netio

import (
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
)

// Pipe gives the two ends of a connection in memory, with deadlines, half-close
// and reset, for tests under synctest. Each direction holds up to limit bytes
// before writers wait; 0 means 64 KiB.
func Pipe(limit int) (a, b Conn) {
	if limit == 0 {
		limit = 64 << 10
	}
	x, y := newHalf(limit), newHalf(limit)
	return &memory{in: x, out: y, local: memoryAddr(1), remote: memoryAddr(2)},
		&memory{in: y, out: x, local: memoryAddr(2), remote: memoryAddr(1)}
}

func memoryAddr(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 1000+uint16(last))
}

// half is one direction of a Pipe.
type half struct {
	mu    sync.Mutex
	cond  *sync.Cond
	data  []byte // guarded by mu, like all below
	limit int
	fin   bool  // the writer has finished
	gone  bool  // the reader has closed
	abort error // either side reset

	rdeadline, wdeadline bell
}

// bell wakes the half when a deadline passes.
type bell struct {
	t     *time.Timer
	at    time.Time
	armed bool
}

func newHalf(limit int) *half {
	h := &half{limit: limit}
	h.cond = sync.NewCond(&h.mu)
	return h
}

func (h *half) set(b *bell, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b.t != nil {
		b.t.Stop()
		b.t = nil
	}
	b.at, b.armed = t, !t.IsZero()
	if b.armed {
		b.t = time.AfterFunc(time.Until(t), func() {
			h.mu.Lock() // whoever looked at the clock just before waits by now
			defer h.mu.Unlock()
			h.cond.Broadcast()
		})
	}
	h.cond.Broadcast()
}

func (b *bell) passed() bool { return b.armed && !time.Now().Before(b.at) }

// memory is one end of a Pipe.
type memory struct {
	in, out       *half
	local, remote netip.AddrPort
	mu            sync.Mutex
	closed        bool // guarded by mu
}

func (m *memory) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// Read implements Conn.
func (m *memory) Read(p []byte) (int, error) {
	h := m.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case m.isClosed():
			return 0, os.ErrClosed
		case h.rdeadline.passed():
			return 0, os.ErrDeadlineExceeded
		case len(h.data) > 0: // also after a reset, as on Linux
			n := copy(p, h.data)
			h.data = h.data[n:]
			h.cond.Broadcast()
			return n, nil
		case h.abort != nil:
			return 0, h.abort
		case h.fin:
			return 0, io.EOF
		}
		h.cond.Wait()
	}
}

// ReadBuf implements Conn.
func (m *memory) ReadBuf(b *buffer.Buf) (int, error) {
	fresh := !b.Holds()
	n, err := m.Read(b.Space(minRead))
	if n == 0 && fresh {
		b.Discard()
	}
	b.Commit(n)
	return n, err
}

// Write implements Conn.
func (m *memory) Write(p []byte) (int, error) {
	h, n := m.out, 0
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		switch {
		case m.isClosed():
			return n, os.ErrClosed
		case h.abort != nil:
			return n, h.abort
		case h.fin, h.gone:
			return n, os.NewSyscallError("write", syscall.EPIPE)
		case h.wdeadline.passed():
			return n, os.ErrDeadlineExceeded
		case len(h.data) < h.limit:
			k := min(len(p), h.limit-len(h.data))
			h.data = append(h.data, p[:k]...)
			p, n = p[k:], n+k
			h.cond.Broadcast()
			continue
		}
		h.cond.Wait()
	}
	return n, nil
}

// Writev implements Conn.
func (m *memory) Writev(a, b []byte) (int, error) {
	n, err := m.Write(a)
	if err != nil {
		return n, err
	}
	k, err := m.Write(b)
	return n + k, err
}

// SetReadDeadline implements Conn.
func (m *memory) SetReadDeadline(t time.Time) error {
	m.in.set(&m.in.rdeadline, t)
	return nil
}

// SetWriteDeadline implements Conn.
func (m *memory) SetWriteDeadline(t time.Time) error {
	m.out.set(&m.out.wdeadline, t)
	return nil
}

// CloseWrite implements Conn.
func (m *memory) CloseWrite() error {
	m.out.mu.Lock()
	defer m.out.mu.Unlock()
	m.out.fin = true
	m.out.cond.Broadcast()
	return nil
}

// Close implements Conn.
func (m *memory) Close() error { return m.shut(nil) }

// Reset implements Conn.
func (m *memory) Reset() error { return m.shut(os.NewSyscallError("read", syscall.ECONNRESET)) }

func (m *memory) shut(abort error) error {
	m.mu.Lock()
	was := m.closed
	m.closed = true
	m.mu.Unlock()
	if was {
		return os.ErrClosed
	}
	m.in.set(&m.in.rdeadline, time.Time{})
	m.out.set(&m.out.wdeadline, time.Time{})
	m.in.mu.Lock()
	m.in.gone, m.in.abort = true, abort
	m.in.cond.Broadcast()
	m.in.mu.Unlock()
	m.out.mu.Lock()
	m.out.fin, m.out.abort = true, abort
	m.out.cond.Broadcast()
	m.out.mu.Unlock()
	return nil
}

// LocalAddr implements Conn.
func (m *memory) LocalAddr() netip.AddrPort { return m.local }

// RemoteAddr implements Conn.
func (m *memory) RemoteAddr() netip.AddrPort { return m.remote }

// Socket implements Conn.
func (m *memory) Socket() *Socket { return nil }
