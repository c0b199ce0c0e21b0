package h2

import (
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/netio"
)

// tunnel is a stream as a connection, for CONNECT (RFC 9113 §8.5, RFC 8441): DATA is
// its bytes, END_STREAM its FIN, RST_STREAM its RST. It ends with the stream.
type tunnel struct {
	s      *half
	closed bool // guarded by the connection's lock
}

var _ netio.Conn = (*tunnel)(nil)

// Read implements netio.Conn.
func (t *tunnel) Read(p []byte) (int, error) {
	return t.read(func(b []byte) int { return copy(p, b) })
}

// ReadBuf implements netio.Conn.
func (t *tunnel) ReadBuf(b *buffer.Buf) (int, error) {
	return t.read(func(p []byte) int {
		b.Append(p)
		return len(p)
	})
}

// read waits for bytes and has take copy some.
func (t *tunnel) read(take func([]byte) int) (int, error) {
	s, c := t.s, t.s.c
	c.mu.Lock()
	defer c.unlock()
	s.settle()
	for {
		switch {
		case t.closed:
			return 0, os.ErrClosed
		case s.recv.n > 0 && (s.ended || s.err == nil):
			n := take(s.recv.front())
			s.given = n
			s.settle()
			return n, nil
		case s.ended:
			return 0, io.EOF
		case s.err != nil:
			return 0, broken(s.err)
		}
		if err := s.wait(); err != nil {
			return 0, err
		}
	}
}

// Write implements netio.Conn.
func (t *tunnel) Write(p []byte) (int, error) { return t.Writev(p, nil) }

// Writev implements netio.Conn.
func (t *tunnel) Writev(a, b []byte) (int, error) {
	n, err := t.s.writeBody(a, false)
	if err == nil && len(b) > 0 {
		var k int
		k, err = t.s.writeBody(b, false)
		n += k
	}
	if err == nil {
		err = t.s.flushOut()
	}
	if err == errFinished {
		err = os.ErrClosed
	}
	return n, broken(err)
}

// SetReadDeadline implements netio.Conn.
func (t *tunnel) SetReadDeadline(at time.Time) error {
	t.s.setReadDeadline(at)
	return nil
}

// SetWriteDeadline implements netio.Conn.
func (t *tunnel) SetWriteDeadline(at time.Time) error {
	s := t.s
	s.c.mu.Lock()
	s.wuntil = at
	s.wcond.Broadcast()
	s.c.mu.Unlock()
	return nil
}

// CloseWrite implements netio.Conn.
func (t *tunnel) CloseWrite() error {
	if _, err := t.s.writeBody(nil, true); err != nil {
		return err
	}
	return t.s.flushOut()
}

// Close implements netio.Conn: a direction that is open is ended, the peer's by
// the stream's end.
func (t *tunnel) Close() error {
	c := t.s.c
	c.mu.Lock()
	was := t.closed
	t.closed = true
	t.s.rcond.Broadcast()
	c.mu.Unlock()
	if was {
		return os.ErrClosed
	}
	_ = t.CloseWrite()
	return nil
}

// A tunnelReset is a stream's reset as a connection's.
type tunnelReset struct{ *codec.ResetError }

// Is says that it is a reset to those who know only sockets.
func (tunnelReset) Is(target error) bool { return target == syscall.ECONNRESET }

// Unwrap gives the stream's.
func (t tunnelReset) Unwrap() error { return t.ResetError }

func broken(err error) error {
	if re, ok := err.(*codec.ResetError); ok {
		return tunnelReset{re}
	}
	return err
}

// Reset implements netio.Conn: a client hears that what is behind us broke
// (RFC 9113 §8.5), a server that nobody wants more.
func (t *tunnel) Reset() error {
	s, c := t.s, t.s.c
	c.mu.Lock()
	defer c.unlock()
	t.closed = true
	if s.listed {
		code := http2.ErrCodeConnect
		if c.client {
			code = http2.ErrCodeCancel
		}
		c.rst(s, code, os.ErrClosed)
		c.out.kick()
	}
	s.wake()
	return nil
}

// LocalAddr implements netio.Conn.
func (t *tunnel) LocalAddr() netip.AddrPort { return t.s.c.conn.LocalAddr() }

// RemoteAddr implements netio.Conn.
func (t *tunnel) RemoteAddr() netip.AddrPort { return t.s.c.conn.RemoteAddr() }

// Socket implements netio.Conn: the bytes are no socket's own.
func (t *tunnel) Socket() *netio.Socket { return nil }
