// Package tlsctx ends TLS: it turns a downstream connection into one whose bytes
// are the decrypted ones.
//
// It is the least that a listener with certificates needs; client certificates,
// secrets by discovery and origination come with issue 4.
package tlsctx

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
)

// Stats count handshakes, under listener.<address>.ssl. (Envoy: TLS statistics).
type Stats struct {
	Handshake *stats.Counter `stat:"handshake"`
	Error     *stats.Counter `stat:"connection_error"`
}

// A Server ends TLS for the connections of one filter chain.
type Server struct {
	cfg   *tls.Config
	stats *Stats
}

// NewServer makes a Server; cfg is not changed afterwards.
func NewServer(cfg *tls.Config, st *Stats) *Server { return &Server{cfg, st} }

// Server completes the handshake until the deadline and puts the decrypted side
// in the connection's place.
func (s *Server) Server(c *conn.Conn, deadline time.Time) error {
	in := c.In
	c.In = buffer.Buf{}
	t := tls.Server(netio.NetConn(c.Conn, &in), s.cfg)
	if err := t.SetDeadline(deadline); err != nil {
		return err
	}
	if err := t.Handshake(); err != nil {
		s.stats.Error.Inc()
		return fmt.Errorf("TLS handshake: %w", err)
	}
	if err := t.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.stats.Handshake.Inc()
	cs := t.ConnectionState()
	c.Info.TLSVersion = versionName(cs.Version)
	c.Info.TLSCipher = tls.CipherSuiteName(cs.CipherSuite)
	c.Info.NegotiatedALPN = cs.NegotiatedProtocol
	c.Conn = &tlsConn{Conn: c.Conn, t: t}
	return nil
}

// versionName is Envoy's spelling (DOWNSTREAM_TLS_VERSION).
func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS11:
		return "TLSv1.1"
	}
	return "TLSv1"
}

// tlsConn is the decrypted side of a connection. Addresses and deadlines are the
// socket's; the bytes are not, so it cannot be spliced.
type tlsConn struct {
	netio.Conn
	t *tls.Conn
}

// Read implements netio.Conn.
func (c *tlsConn) Read(p []byte) (int, error) { return c.t.Read(p) }

// ReadBuf implements netio.Conn. Memory is held while it waits: only the TLS
// layer knows when there are bytes.
func (c *tlsConn) ReadBuf(b *buffer.Buf) (int, error) {
	fresh := !b.Holds()
	n, err := c.t.Read(b.Space(4 << 10))
	if n == 0 && fresh {
		b.Discard()
		return n, err
	}
	b.Commit(n)
	return n, err
}

// Write implements netio.Conn.
func (c *tlsConn) Write(p []byte) (int, error) { return c.t.Write(p) }

// joined is the most, in bytes, that Writev copies to make one TLS record of two
// pieces.
const joined = 16 << 10

// Writev implements netio.Conn: head and body leave in one record when they fit.
func (c *tlsConn) Writev(a, b []byte) (int, error) {
	if len(a) > 0 && len(b) > 0 && len(a)+len(b) <= joined {
		var buf buffer.Buf
		defer buf.Discard()
		buf.Append(a)
		buf.Append(b)
		return c.t.Write(buf.Bytes())
	}
	n := 0
	for _, p := range [2][]byte{a, b} {
		if len(p) > 0 {
			k, err := c.t.Write(p)
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
