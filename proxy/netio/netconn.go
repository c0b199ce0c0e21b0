package netio

import (
	"net"
	"net/netip"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
)

// NetConn gives c as a net.Conn for libraries that want one, crypto/tls above
// all. What in holds is read first.
func NetConn(c Conn, in *buffer.Buf) net.Conn { return &netConn{c: c, in: in} }

type netConn struct {
	c  Conn
	in *buffer.Buf
}

func (n *netConn) Read(p []byte) (int, error) {
	if n.in.Len() > 0 {
		k := copy(p, n.in.Bytes())
		n.in.Consume(k)
		n.in.Release()
		return k, nil
	}
	return n.c.Read(p)
}

func (n *netConn) Write(p []byte) (int, error)        { return n.c.Write(p) }
func (n *netConn) Close() error                       { return n.c.Close() }
func (n *netConn) LocalAddr() net.Addr                { return tcpAddr(n.c.LocalAddr()) }
func (n *netConn) RemoteAddr() net.Addr               { return tcpAddr(n.c.RemoteAddr()) }
func (n *netConn) SetReadDeadline(t time.Time) error  { return n.c.SetReadDeadline(t) }
func (n *netConn) SetWriteDeadline(t time.Time) error { return n.c.SetWriteDeadline(t) }
func (n *netConn) SetDeadline(t time.Time) error {
	if err := n.c.SetReadDeadline(t); err != nil {
		return err
	}
	return n.c.SetWriteDeadline(t)
}

func tcpAddr(a netip.AddrPort) net.Addr { return net.TCPAddrFromAddrPort(a) }
