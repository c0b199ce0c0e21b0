package hcm

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// serveHTTP1 serves a connection that speaks HTTP/1, from which a first byte, or
// first, was awaited; io.EOF says that the client ended it.
func (m *Manager) serveHTTP1(c *conn.Conn, srv *h1.Server, first error, start time.Time) error {
	m.stats.CxHTTP1Total.Inc()
	m.stats.CxHTTP1Active.Inc()
	err := m.serveRequests(c, srv, first, start)
	m.stats.CxHTTP1Active.Dec()
	c.Info.BytesReceived, c.Info.BytesSent = srv.BytesIn(), srv.BytesOut()
	return err
}

// serveRequests answers requests until the connection ends; io.EOF says that the client
// ended it.
func (m *Manager) serveRequests(c *conn.Conn, srv *h1.Server, first error, start time.Time) error {
	maxAge := bound(start, m.cfg.MaxConnDuration)
	awaited := first
	for n := uint32(1); ; n++ {
		if awaited != nil {
			return m.ended(c, srv, awaited, maxAge)
		}
		s := m.get(c, srv)
		last := m.cfg.MaxRequestsPerConn > 0 && n >= m.cfg.MaxRequestsPerConn
		more, err := m.exchange(s, srv, last)
		now := s.Info.End
		m.put(s)
		if !more {
			return err
		}
		if !maxAge.IsZero() && !now.Before(maxAge) {
			m.stats.CxMaxDuration.Inc()
			return nil
		}
		awaited = srv.Await(m.idleUntil(now, maxAge))
	}
}

// ended handles the end of a connection between requests.
func (m *Manager) ended(c *conn.Conn, srv *h1.Server, err error, maxAge time.Time) error {
	var pe *h1.ProtocolError
	switch {
	case err == io.EOF, errors.Is(err, h1.ErrDrained):
		if err != io.EOF {
			m.stats.CxDrainClose.Inc()
			return nil
		}
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		if !maxAge.IsZero() && !time.Now().Before(maxAge) {
			m.stats.CxMaxDuration.Inc()
		} else {
			m.stats.CxIdleTimeout.Inc()
		}
		return nil
	case errors.As(err, &pe):
		// The first byte was no request's.
		s := m.get(c, srv)
		s.Info.Start = time.Now()
		m.begin(s, m.stats.RqHTTP1Total)
		m.refuse(s, srv, err)
		m.end(s)
		c.Linger(m.cfg.DelayedClose)
		m.put(s)
		return nil
	}
	return io.EOF // a reset: the client ended it
}

// exchange serves one request; more says that the connection can take another.
func (m *Manager) exchange(s *stream.Stream, srv *h1.Server, last bool) (more bool, err error) {
	c := s.Conn
	s.Info.Start = time.Now()
	m.begin(s, m.stats.RqHTTP1Total)
	msg, err := srv.ReadRequest(&s.Request, &s.RequestTrailers, bound(s.Info.Start, m.cfg.HeadersTimeout))
	if err != nil {
		m.refuse(s, srv, err)
		m.end(s)
		if s.Replied() {
			c.Linger(m.cfg.DelayedClose)
		}
		return false, nil
	}
	a := arrival{
		version: msg.Version, size: msg.Size, noBody: msg.Body == h1.NoBody, head: msg.Head,
		connect: msg.Connect, upgrade: msg.Upgrade, expect: msg.Expect,
	}
	m.adopt(s, &a)
	if !msg.KeepAlive {
		s.MustClose()
	}
	switch {
	case last:
		m.stats.CxMaxRequests.Inc()
		s.MustClose()
	case c.Draining():
		m.stats.CxDrainClose.Inc()
		s.MustClose()
	}
	if m.prepare(s, srv, &a) {
		err = s.Run()
		cluster(s)
	}
	m.unanswered(s, err)
	if !s.BodyDone() {
		s.MustClose()
	}
	if s.Closing() {
		srv.SetClose()
	}
	more = srv.FinishRequest() && s.Ended() && !s.Closing()
	if !more && s.Replied() && !s.Ended() {
		// A response that stops in the middle must not look whole.
		_ = c.Reset()
	}
	m.end(s)
	if !more && s.Ended() && (!s.BodyDone() || srv.Buffered()) {
		c.Linger(m.cfg.DelayedClose)
	}
	return more, nil
}

// refuse answers a head that was not accepted, if there is anybody to answer,
// and records why.
func (m *Manager) refuse(s *stream.Stream, srv *h1.Server, err error) {
	s.MustClose()
	srv.SetClose()
	var pe *h1.ProtocolError
	switch {
	case errors.As(err, &pe) && pe != h1.ErrUnexpectedEOF:
		m.stats.CxProtocolError.Inc()
		if pe.Status == 431 {
			m.stats.RqTooLarge.Inc()
		}
		s.Request.Reset()
		s.Reply(pe.Status, info.DownstreamProtocolError, pe.Detail, h1.Reason(pe.Status))
		_ = srv.Flush()
	case errors.Is(err, os.ErrDeadlineExceeded):
		m.stats.RqHeaderTimeout.Inc()
		s.Request.Reset()
		s.Reply(408, 0, "request_header_timeout", "request header timeout")
		_ = srv.Flush()
	default:
		s.Info.Flags |= info.DownstreamConnectionTermination
		s.Info.Details = "downstream_remote_disconnect"
	}
}
