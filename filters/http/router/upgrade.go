package router

import (
	"time"

	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/tcp"
)

// upgrade sends a 101, or a 2xx to CONNECT, and lets both sides talk until they
// are done (RFC 9110 §7.8, §9.3.6).
func (e *exchange) upgrade() error {
	s, at := e.s, e.at
	if !e.pump.wait() {
		return e.clientLost(e.pump.clientErr())
	}
	s.MustClose()
	if err := s.SendHeaders(false); err != nil {
		return e.clientLost(err)
	}
	if err := s.Codec().Flush(); err != nil {
		return e.clientLost(err)
	}
	down, downIn := s.Codec().Upgrade()
	up, upIn := at.Upgrade()
	r := tcp.Copy(tcp.Side{Conn: down, Buffered: downIn}, tcp.Side{Conn: up, Buffered: upIn}, tcp.Options{Idle: e.bounds.idle, Deadline: e.bounds.max})
	i := &s.Info
	i.BytesReceived += r.AToB
	i.BytesSent += r.BToA
	i.UpstreamDone = time.Now()
	switch r.Reason {
	case tcp.AFailed:
		i.Flags |= info.DownstreamConnectionTermination
	case tcp.BFailed:
		i.Flags |= info.UpstreamConnectionTermination
	case tcp.IdleTimeout:
		i.Flags |= info.StreamIdleTimeout
	case tcp.DeadlinePassed:
		i.Flags |= info.UpstreamMaxStreamDuration
	}
	s.Upgraded()
	e.leave().Release()
	return nil
}
