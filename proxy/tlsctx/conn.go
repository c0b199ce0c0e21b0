package tlsctx

import (
	"crypto/tls"
	"errors"
	"os"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/netio"
)

// A tlsConn is the decrypted side of a connection. Addresses and deadlines are the socket's; the bytes are not, so it cannot be
// spliced.
type tlsConn struct {
	netio.Conn
	t *tls.Conn
	w *wire

	drained bool // the TLS layer has no plain bytes; owned by the reading goroutine
}

func newConn(c netio.Conn, t *tls.Conn, w *wire) *tlsConn {
	w.keeps = true
	return &tlsConn{Conn: c, t: t, w: w}
}

// Read implements netio.Conn.
func (c *tlsConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.t.Read(p)
	c.drained = n < len(p) // a record ends there
	return n, err
}

// minRead is the least room a read is offered, in bytes, as in netio.
const minRead = 4 << 10

// ReadBuf implements netio.Conn. Memory is held only once the peer has sent something: it is the socket that is waited for.
func (c *tlsConn) ReadBuf(b *buffer.Buf) (int, error) {
	if b.Holds() {
		return c.read(b)
	}
	for {
		if !c.nothing() {
			c.w.hasty = true
			n, err := c.read(b)
			c.w.hasty = false
			if !errors.Is(err, errNothing) {
				if n == 0 {
					b.Discard()
				}
				return n, err
			}
			b.Discard()
		}
		if err := c.w.fill(); err != nil {
			return 0, c.ended(err)
		}
		c.drained = false
	}
}

// nothing tells whether there is surely nothing to read but what the socket has.
func (c *tlsConn) nothing() bool { return c.drained && c.w.between() }

func (c *tlsConn) read(b *buffer.Buf) (int, error) {
	n, err := c.Read(b.Space(minRead))
	b.Commit(n)
	return n, err
}

// ended tells the TLS layer that the socket has ended, which knows whether that was in the middle of a record.
func (c *tlsConn) ended(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	var one [1]byte
	if _, e := c.t.Read(one[:]); e != nil {
		return e
	}
	return err
}

// Quiet tells whether the peer has neither spoken nor left since the last byte that was read (netio.Socket.Quiet). Session tickets and
// changes of keys do not count: they are taken in.
func (c *tlsConn) Quiet() bool {
	s := c.Conn.Socket()
	if s == nil {
		return false
	}
	for range 4 {
		if !c.nothing() {
			var one [1]byte
			c.w.hasty = true
			_, err := c.Read(one[:])
			c.w.hasty = false
			if !errors.Is(err, errNothing) {
				return false
			}
		}
		if c.w.in.Len() == 0 && s.Quiet() {
			return true
		}
		if c.w.fill() != nil { // it does not wait: there is something
			return false
		}
		c.drained = false
	}
	return false
}

// Gone tells whether the peer has left (netio.Socket.Gone); an alert that it left behind does not count.
func (c *tlsConn) Gone() bool {
	s := c.Conn.Socket()
	return s != nil && s.GoneAfter(parting)
}

// alertLen is the length of an encrypted alert in TLS 1.3: two bytes, their type, and the tag (RFC 8446 §5.2, §6).
const alertLen = 2 + 1 + 16

// parting tells whether a record is an alert, as its header says, or, of TLS 1.3, its length.
func parting(head []byte) bool {
	const alert, data = 21, 23
	return len(head) == 5 && (head[0] == alert || head[0] == data && int(head[3])<<8|int(head[4]) == alertLen)
}

// Write implements netio.Conn. After a deadline it can go on: bytes that it counts as written are sent by the next Write, also of
// nothing.
func (c *tlsConn) Write(p []byte) (int, error) {
	if err := c.w.flush(); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) {
		k, err := c.t.Write(p[n:min(len(p), n+joined)])
		n += k
		if err != nil {
			return n, err
		}
		if c.w.kept() {
			return n, os.ErrDeadlineExceeded
		}
	}
	return n, nil
}

// joined is the most, in bytes, that Writev copies to make one TLS record of two pieces.
const joined = 16 << 10

// Writev implements netio.Conn: head and body leave in one record when they fit.
func (c *tlsConn) Writev(a, b []byte) (int, error) {
	if len(a) > 0 && len(b) > 0 && len(a)+len(b) <= joined {
		var buf buffer.Buf
		defer buf.Discard()
		buf.Append(a)
		buf.Append(b)
		return c.Write(buf.Bytes())
	}
	n := 0
	for _, p := range [2][]byte{a, b} {
		if len(p) > 0 {
			k, err := c.Write(p)
			n += k
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// CloseWrite implements netio.Conn: it sends close_notify.
func (c *tlsConn) CloseWrite() error { return c.t.CloseWrite() }

// Close implements netio.Conn: it sends close_notify and closes the socket.
func (c *tlsConn) Close() error { return c.t.Close() }

// Socket implements netio.Conn.
func (c *tlsConn) Socket() *netio.Socket { return nil }
