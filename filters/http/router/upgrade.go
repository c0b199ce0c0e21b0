package router

import (
	"context"
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/tcp"
	"github.com/weirproxy/weir/proxy/upstream"
)

// settingsWait bounds the wait for what a server of HTTP/2 says first.
const settingsWait = 5 * time.Second

// detailsNoExtended are of a host that takes no upgrades over HTTP/2; the body is
// what the client is told.
const (
	detailsNoExtended = "upstream_extended_connect_unsupported"
	bodyNoExtended    = "upstream server does not take upgrades over HTTP/2"
)

// extends finds out whether the host takes extended CONNECT (RFC 8441 §3), which it
// must have said before it is asked.
func (e *exchange) extends() (outcome, bool) {
	until, _ := e.plan.connectBound(e.deadline)
	if most := time.Now().Add(settingsWait); until.IsZero() || until.After(most) {
		until = most
	}
	ctx, cancel := context.WithDeadline(e.s, until)
	defer cancel()
	if e.at.ExtendedConnect(ctx) {
		return outcome{}, true
	}
	o := outcome{gone: e.s.Err() != nil, reused: e.at.Reused}
	o.err = &upstream.Error{Op: "upgrade", Host: e.at.Host.Address(), Flag: info.UpstreamProtocolError, Details: detailsNoExtended}
	e.report(upstream.Outcome{Failure: upstream.Cancelled})
	return o, false
}

// upgrade sends a 101, or a 2xx to CONNECT, and lets both sides talk until they
// are done (RFC 9110 §7.8, §9.3.6).
func (e *exchange) upgrade() error {
	if !e.pump.wait() {
		return e.clientLost(e.pump.clientErr())
	}
	if err := e.agree(); err != nil {
		return e.clientLost(err)
	}
	e.unwatch() // the tunnel sees for itself
	e.tunnel(e.at.Upgrade())
	e.leave().Release()
	return nil
}

// agree sends the head that opens a tunnel.
func (e *exchange) agree() error {
	s := e.s
	s.MustClose()
	s.Response.Del(header.ContentLength) // what follows is no body
	if err := s.SendHeaders(false); err != nil {
		return err
	}
	return s.Codec().Flush()
}

// tunnel moves bytes between the client and up, of which some are in already.
func (e *exchange) tunnel(up netio.Conn, in []byte) {
	s := e.s
	down, downIn := s.Codec().Upgrade()
	r := tcp.Copy(tcp.Side{Conn: down, Buffered: downIn}, tcp.Side{Conn: up, Buffered: in}, tcp.Options{Idle: e.bounds.idle, Deadline: e.bounds.max})
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
}
