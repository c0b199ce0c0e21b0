package tlsctx

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/netio"
)

// A wire is the encrypted side under a tls.Conn: first what was read before TLS began, then the connection. It reads as much as there is,
// at once, and hands out no more than the rest of one record at a time: so it is known when the TLS layer has nothing left.
type wire struct {
	c netio.Conn
	h *serverHandshake // nil but during a handshake of a server

	// owned by the reading goroutine
	in     buffer.Buf
	hasty  bool // reads give errNothing instead of waiting
	header [recordHeader]byte
	have   int // bytes of the header of a record that have been handed out
	left   int // bytes of its body that have not

	keeps bool // the handshake is over; set once, by the handshake's goroutine

	wmu sync.Mutex
	out buffer.Buf // guarded by wmu: encrypted, and not yet sent
}

// recordHeader is the length of what comes before a record: its type, version and length (RFC 8446 §5.1).
const recordHeader = 5

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.in.Len() == 0 {
		if w.hasty {
			return 0, errNothing
		}
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	b := w.in.Bytes()
	if w.left == 0 {
		known := copy(w.header[w.have:], b[:min(len(b), len(p))])
		w.have += known
		if w.have < recordHeader {
			return w.hand(p, known), nil
		}
		w.left = int(w.header[3])<<8 | int(w.header[4])
		n := w.hand(p, known)
		k := w.hand(p[n:], w.left)
		w.left -= k
		w.have = 0
		return n + k, nil
	}
	n := w.hand(p, w.left)
	w.left -= n
	return n, nil
}

// hand gives out at most n of the bytes that were read.
func (w *wire) hand(p []byte, n int) int {
	b := w.in.Bytes()
	n = copy(p, b[:min(n, len(b))])
	w.in.Consume(n)
	w.in.Release()
	return n
}

// between tells whether all that came was whole records, and was handed out.
func (w *wire) between() bool { return w.in.Len() == 0 && w.left == 0 && w.have == 0 }

// fill waits until the peer has sent something, holding no memory meanwhile.
func (w *wire) fill() error {
	n, err := w.c.ReadBuf(&w.in)
	if n > 0 {
		return nil
	}
	w.in.Release()
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

// Write implements net.Conn. Once the handshake is over, what a deadline kept from being sent is kept, and sent before all else: to
// crypto/tls a write that was cut short is the end of the connection, and a codec ends one only to go on later.
func (w *wire) Write(p []byte) (int, error) {
	w.wmu.Lock()
	defer w.wmu.Unlock()
	n, err := 0, w.send()
	if err == nil {
		n, err = w.c.Write(p)
	}
	if w.keeps && errors.Is(err, os.ErrDeadlineExceeded) {
		w.out.Append(p[n:])
		return len(p), nil
	}
	return n, err
}

// flush sends what was kept.
func (w *wire) flush() error {
	w.wmu.Lock()
	defer w.wmu.Unlock()
	return w.send()
}

// send is flush; the lock is held.
func (w *wire) send() error {
	if w.out.Len() == 0 {
		return nil
	}
	n, err := w.c.Write(w.out.Bytes())
	w.out.Consume(n)
	w.out.Release()
	return err
}

// kept tells whether something was.
func (w *wire) kept() bool {
	w.wmu.Lock()
	defer w.wmu.Unlock()
	return w.out.Len() > 0
}

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
