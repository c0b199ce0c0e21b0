package tcpproxy

import (
	"errors"
	"time"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream"
)

// preambleTimeout bounds how long a server may take to answer one byte.
const preambleTimeout = 10 * time.Second

var errPreamble = errors.New("the server does not answer as its client was told")

// preamble has the exchange with the server that was had with the client already; false says that the server wants it
// otherwise: the client was promised what is not to be had.
func (f *filter) preamble(c *conn.Conn, up *upstream.TCP) bool {
	p := c.Preamble
	c.Preamble = nil
	var b [1]byte
	err := up.SetReadDeadline(time.Now().Add(preambleTimeout))
	if err == nil {
		_, err = up.Write(p.Send)
	}
	if err == nil {
		_, err = up.Read(b[:])
	}
	if err == nil {
		err = up.SetReadDeadline(time.Time{})
	}
	if err == nil && b[0] == p.Want {
		return true
	}
	c.Info.Details = p.Refused
	c.Info.Flags |= info.UpstreamProtocolError
	if err != nil {
		up.Report(upstream.Outcome{Failure: upstream.Reset})
	}
	return false
}
