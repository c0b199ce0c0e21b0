package tlsctx

import (
	"net"
	"net/netip"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/netio"
)

// A wire is the encrypted side under a tls.Conn: first what was read before TLS began, then the connection.
type wire struct {
	c  netio.Conn
	in buffer.Buf // owned by the reading goroutine

	h *serverHandshake // nil but during a handshake of a server

	hasty bool // reads give errNothing instead of waiting; owned by the reading goroutine
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.in.Len() > 0 {
		n := copy(p, w.in.Bytes())
		w.in.Consume(n)
		w.in.Release()
		return n, nil
	}
	if w.hasty {
		return 0, errNothing
	}
	return w.c.Read(p)
}

// fill waits until the peer has sent something, holding no memory meanwhile.
func (w *wire) fill() error {
	if w.in.Len() > 0 {
		return nil
	}
	n, err := w.c.ReadBuf(&w.in)
	if n > 0 {
		return nil
	}
	return err
}

// nothing is what a hasty read gives when there is nothing. To crypto/tls it is a timeout, after which a connection can still be used.
type nothing struct{}

// Error implements error.
func (nothing) Error() string { return "nothing to read" }

// Timeout implements net.Error.
func (nothing) Timeout() bool { return true }

// Temporary implements net.Error.
func (nothing) Temporary() bool { return true }

var errNothing net.Error = nothing{}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) { return w.c.Write(p) }

// Close implements net.Conn.
func (w *wire) Close() error { return w.c.Close() }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return tcpAddr(w.c.LocalAddr()) }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return tcpAddr(w.c.RemoteAddr()) }

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(t time.Time) error { return w.c.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(t time.Time) error { return w.c.SetWriteDeadline(t) }

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(t time.Time) error {
	if err := w.c.SetReadDeadline(t); err != nil {
		return err
	}
	return w.c.SetWriteDeadline(t)
}

func tcpAddr(a netip.AddrPort) net.Addr { return net.TCPAddrFromAddrPort(a) }
