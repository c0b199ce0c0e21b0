// Package netio is the one seam to sockets: straight-line blocking code above
// it, a driver below it.
//
// The driver here parks a goroutine per connection on the runtime's poller.
// Nothing above may assume that: per-core event loops can take its place.
package netio

import (
	"net/netip"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
)

// A Conn is one byte stream in both directions: a socket, TLS over one, or
// memory in tests. One goroutine reads and one writes at a time; deadlines and
// Close may be called from any.
//
// Reads and writes fail with os.ErrDeadlineExceeded when a deadline passes and
// os.ErrClosed after Close; a read gives io.EOF once the peer has finished.
type Conn interface {
	// Read reads some bytes.
	Read(p []byte) (int, error)
	// ReadBuf reads some bytes to the end of b. When b holds no memory, memory is
	// taken only once there are bytes, so that waiting costs none.
	ReadBuf(b *buffer.Buf) (int, error)
	// Write writes all of p.
	Write(p []byte) (int, error)
	// Writev writes all of a, then all of b, in one system call where it can.
	Writev(a, b []byte) (int, error)

	// SetReadDeadline bounds reads, also one that is waiting; zero is no bound.
	SetReadDeadline(t time.Time) error
	// SetWriteDeadline bounds writes likewise.
	SetWriteDeadline(t time.Time) error

	// CloseWrite ends our direction (TCP FIN, TLS close_notify).
	CloseWrite() error
	// Close ends both.
	Close() error
	// Reset ends both at once so that the peer sees an abort (TCP RST).
	Reset() error

	// LocalAddr and RemoteAddr are the socket's; of an intercepted connection
	// LocalAddr is the original destination.
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort

	// Socket gives the socket whose bytes these are, for splicing; nil when the
	// bytes are not a socket's own.
	Socket() *Socket
}
