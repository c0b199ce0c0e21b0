package hcm

import (
	"errors"
	"io"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// An http2Conn is a connection that speaks HTTP/2. Its streams are served at the
// same time, each on a goroutine of its own.
type http2Conn struct {
	m   *Manager
	c   *conn.Conn
	srv *h2.Server
}

// serveHTTP2 serves a connection that speaks HTTP/2; io.EOF says that the client
// ended it.
func (m *Manager) serveHTTP2(c *conn.Conn) error {
	st := m.stats
	st.CxHTTP2Total.Inc()
	st.CxHTTP2Active.Inc()
	defer st.CxHTTP2Active.Dec()
	x := &http2Conn{m: m, c: c}
	x.srv = h2.NewServer(c, &m.http2, m.h2stats, x)
	c.OnCancel(func(id uint64) bool { return x.srv.Cancel(uint32(id)) })
	err := x.srv.Serve(m.cfg.IdleTimeout, m.cfg.MaxConnDuration)
	c.OnCancel(nil)
	c.Info.BytesReceived, c.Info.BytesSent = x.srv.BytesIn(), x.srv.BytesOut()
	var ce *h2.ConnError
	switch {
	case errors.Is(err, h2.ErrDrained):
		st.CxDrainClose.Inc()
		return nil
	case errors.Is(err, h2.ErrIdle):
		st.CxIdleTimeout.Inc()
		return nil
	case errors.Is(err, h2.ErrMaxAge):
		st.CxMaxDuration.Inc()
		return nil
	case errors.As(err, &ce) && !ce.Remote:
		st.CxProtocolError.Inc()
		c.Info.Details = "http2.remote_protocol_error"
		return err
	}
	return io.EOF // the client ended it, one way or the other
}

// NewStream implements h2.Handler.
func (x *http2Conn) NewStream(st *h2.ServerStream) (request, trailers *header.Headers) {
	s, _ := st.User.(*stream.Stream)
	s = x.m.again(s, x.c, st)
	st.User = s
	s.Info.Start = time.Now()
	x.m.begin(s, x.m.stats.RqHTTP2Total)
	s.Info.ID = uint64(st.ID())
	if n := x.m.cfg.MaxRequestsPerConn; n > 0 && x.c.Info.Requests >= uint64(n) && !x.srv.Draining() {
		x.m.stats.CxMaxRequests.Inc()
		x.srv.Drain()
	}
	return &s.Request, &s.RequestTrailers
}

// Refused implements h2.Handler: a head broke a rule.
func (x *http2Conn) Refused(st *h2.ServerStream, err error) {
	m, s := x.m, st.User.(*stream.Stream)
	s.Info.Protocol = info.HTTP2
	s.Info.Flags |= info.DownstreamProtocolError
	s.Info.Details = "http2.violation.of.messaging.rule"
	var pe *codec.ProtocolError
	if errors.As(err, &pe) {
		s.Info.Details = pe.Detail
		if pe.Status == 431 {
			m.stats.RqTooLarge.Inc()
		}
	}
	m.end(s)
	s.Recycle()
}

// Retire implements h2.Handler.
func (x *http2Conn) Retire(st *h2.ServerStream) {
	if s, ok := st.User.(*stream.Stream); ok {
		x.m.pool(s)
	}
}

// ServeStream implements h2.Handler.
func (x *http2Conn) ServeStream(st *h2.ServerStream) {
	s := st.User.(*stream.Stream)
	defer x.recovered(st)
	m, msg := x.m, st.Message()
	a := arrival{
		version: info.HTTP2, size: msg.Size, noBody: st.NoBody() || msg.Connect, head: msg.Head,
		connect: msg.Connect && !msg.Protocol, upgrade: msg.Protocol, expect: msg.Expect,
	}
	if msg.Protocol {
		// The chain sees what HTTP/1.1 would have said (RFC 8441 §5).
		if string(s.Request.Value(header.Protocol)) == "websocket" {
			s.UpgradeKey = fields.NewKey()
		}
		fields.ToUpgrade(&s.Request, s.UpgradeKey)
	}
	m.adopt(s, &a)
	var err error
	if m.prepare(s, st, &a) {
		err = s.Run()
		cluster(s)
	}
	if i := &s.Info; i.Flags.Has(info.DownstreamConnectionTermination) && st.ResetByPeer() {
		i.Flags = i.Flags&^info.DownstreamConnectionTermination | info.DownstreamRemoteReset
		i.Details = "http2.remote_reset"
	}
	m.unanswered(s, err)
	st.Finish()
	m.end(s)
	s.Recycle()
}

// recovered ends a stream whose filters panicked; the connection and its other
// streams go on.
func (x *http2Conn) recovered(st *h2.ServerStream) {
	p := recover()
	if p == nil {
		return
	}
	x.m.stats.RqPanic.Inc()
	if s, ok := st.User.(*stream.Stream); ok {
		s.Flow.Abandon()
	}
	x.m.log.Error("panic while serving a stream", zap.Uint64("connection", x.c.Info.ID), zap.Uint32("stream", st.ID()),
		zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
	st.User = nil // what the stream holds may be broken: it is not used again
}
