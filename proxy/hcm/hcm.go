// Package hcm is the HTTP connection manager: it picks the codec of a
// connection, takes each request through the filter chain, and records how it
// went.
//
// The life of a connection: await a request, read its head, make it canonical
// (host, path, forwarding headers, request id), match its route once, run the
// chain, settle the codec, write the access log; then the next, until either side
// wants to close or the connection is asked to drain.
package hcm

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// A Manager serves connections by one configuration. It is shared by all
// connections of its filter chain.
type Manager struct {
	// set in New, never changed
	cfg     *Config
	rules   h1.RequestRules
	chain   *stream.Chain
	live    *route.Live
	stats   *Stats
	log     *zap.Logger
	loggers []logger

	streams sync.Pool // of *stream.Stream, all of this chain
}

type logger struct {
	to     filters.AccessLogger
	filter LogFilter
}

// New builds a connection manager: its HTTP filters, its access loggers, and the
// route table it looks at.
func New(cfg *Config, bc *filters.BuildContext) (*Manager, error) {
	m := &Manager{cfg: cfg, rules: cfg.Rules, log: bc.Log}
	m.rules.Limits = m.rules.WithDefaults()
	scope := bc.Stats.Scope("http", cfg.StatPrefix)
	m.stats = stats.Fill[Stats](scope)
	if cfg.Table != nil {
		m.live = new(route.Live)
		m.live.Store(cfg.Table)
	} else {
		m.live = bc.Routes(cfg.RouteName)
	}
	own := *bc
	own.Slots = new(stream.Slots)
	own.HTTP = scope
	var named []stream.Named
	for i, p := range cfg.Filters {
		if p.Disabled {
			continue
		}
		f, err := filters.Make(p, &own)
		if err != nil {
			return nil, fmt.Errorf("http_filters[%d] %q: %w", i, p.Name, err)
		}
		named = append(named, stream.Named{Name: p.Name, Filter: f})
	}
	m.chain = stream.NewChain(named, own.Slots, m)
	for i, l := range cfg.AccessLog {
		v, err := filters.Make(l.Parsed, &own)
		if err != nil {
			return nil, fmt.Errorf("access_log[%d]: %w", i, err)
		}
		m.loggers = append(m.loggers, logger{v.(filters.AccessLogger), l.Filter})
	}
	m.streams.New = func() any { return stream.New(m.chain) }
	return m, nil
}

// ServeConn implements filters.TerminalFilter.
func (m *Manager) ServeConn(c *conn.Conn) error {
	st := m.stats
	st.CxTotal.Inc()
	st.CxHTTP1Total.Inc()
	st.CxActive.Inc()
	st.CxHTTP1Active.Inc()
	if c.Info.TLSVersion != "" {
		st.CxSSLTotal.Inc()
	}
	srv := h1.NewServer(c, &m.rules, m.cfg.StreamIdle)
	start := time.Now()
	err := m.serve(c, srv, start)
	st.CxActive.Dec()
	st.CxHTTP1Active.Dec()
	st.CxDestroy.Inc()
	if err == io.EOF {
		st.CxDestroyRemote.Inc()
		err = nil
	} else {
		st.CxDestroyLocal.Inc()
	}
	st.CxRxBytes.Add(srv.BytesIn())
	st.CxTxBytes.Add(srv.BytesOut())
	c.Info.BytesReceived, c.Info.BytesSent = srv.BytesIn(), srv.BytesOut()
	st.CxLength.Record(uint64(time.Since(start).Milliseconds()))
	return err
}

// serve answers requests until the connection ends; io.EOF says that the client
// ended it.
func (m *Manager) serve(c *conn.Conn, srv *h1.Server, start time.Time) error {
	var maxAge time.Time
	if d := m.cfg.MaxConnDuration; d > 0 {
		maxAge = start.Add(d)
	}
	now := start
	for n := uint32(1); ; n++ {
		if err := srv.Await(m.idleUntil(now, maxAge)); err != nil {
			return m.ended(c, srv, err, maxAge)
		}
		s := m.streams.Get().(*stream.Stream)
		s.Begin(c, srv, m.live, rand.Uint64())
		last := m.cfg.MaxRequestsPerConn > 0 && n >= m.cfg.MaxRequestsPerConn
		more, err := m.exchange(s, srv, last)
		now = s.Info.End
		s.Recycle()
		m.streams.Put(s)
		if !more {
			return err
		}
		if !maxAge.IsZero() && !now.Before(maxAge) {
			m.stats.CxMaxDuration.Inc()
			return nil
		}
	}
}

// idleUntil is how long the next request is waited for from now on.
func (m *Manager) idleUntil(now, maxAge time.Time) time.Time {
	if m.cfg.IdleTimeout == 0 {
		return maxAge
	}
	idle := now.Add(m.cfg.IdleTimeout)
	if !maxAge.IsZero() && maxAge.Before(idle) {
		return maxAge
	}
	return idle
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
		s := m.streams.Get().(*stream.Stream)
		s.Begin(c, srv, m.live, rand.Uint64())
		s.Info.Start = time.Now()
		m.begin(s)
		m.refuse(s, srv, err)
		m.end(s, srv)
		m.linger(c)
		s.Recycle()
		m.streams.Put(s)
		return nil
	}
	return io.EOF // a reset: the client ended it
}

// exchange serves one request; more says that the connection can take another.
func (m *Manager) exchange(s *stream.Stream, srv *h1.Server, last bool) (more bool, err error) {
	c := s.Conn
	s.Info.Start = time.Now()
	m.begin(s)
	msg, err := srv.ReadRequest(&s.Request, &s.RequestTrailers, bound(s.Info.Start, m.cfg.HeadersTimeout))
	if err != nil {
		m.refuse(s, srv, err)
		m.end(s, srv)
		if s.Replied() {
			m.linger(c)
		}
		return false, nil
	}
	m.adopt(s, msg)
	switch {
	case last:
		m.stats.CxMaxRequests.Inc()
		s.MustClose()
	case c.Draining():
		m.stats.CxDrainClose.Inc()
		s.MustClose()
	}
	if m.prepare(s, srv, msg) {
		err = s.Run()
	}
	if !s.Ended() {
		// The chain gave up after a head was sent, or the client is gone.
		s.MustClose()
		if !s.Replied() && err == nil && !s.Info.Flags.Has(info.DownstreamConnectionTermination) {
			s.Reply(500, 0, "no_response_from_filters", "")
		}
	}
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
	m.end(s, srv)
	if !more && s.Ended() && (!s.BodyDone() || srv.Buffered()) {
		m.linger(c)
	}
	return more, nil
}

// linger throws away what a client still sends to a connection that ends, for a
// time: closing with unread bytes would reset the connection, and the response with
// it (RFC 9112 §9.6; Envoy: delayed_close_timeout).
func (m *Manager) linger(c *conn.Conn) {
	d := m.cfg.DelayedClose
	if d == 0 || c.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(d)) != nil {
		return
	}
	var b [4096]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}

func bound(from time.Time, d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return from.Add(d)
}

func (m *Manager) begin(s *stream.Stream) {
	m.stats.RqTotal.Inc()
	m.stats.RqHTTP1Total.Inc()
	m.stats.RqActive.Inc()
	s.Conn.Info.Requests++
}

// end records a stream that is over, whatever way it ended.
func (m *Manager) end(s *stream.Stream, srv *h1.Server) {
	i, st := &s.Info, m.stats
	i.End = time.Now()
	s.End()
	st.RqActive.Dec()
	st.RqCompleted.Inc()
	if i.Code > 0 {
		st.class(i.Code).Inc()
	}
	st.RqTime.Record(uint64(i.End.Sub(i.Start).Milliseconds()))
	switch {
	case i.Flags.Has(info.DownstreamConnectionTermination | info.DownstreamRemoteReset):
		st.RqRxReset.Inc()
		st.CxDestroyActiveRq.Inc()
	case i.Flags.Has(info.StreamIdleTimeout):
		st.RqIdleTimeout.Inc()
	}
	if i.Code >= 400 {
		st.reason(i.Details)
	}
	for k := range m.loggers {
		l := &m.loggers[k]
		if l.filter == nil || l.filter.Logs(s.Conn, s) {
			l.to.Log(s.Conn, s)
		}
	}
}

// adopt takes over what the codec found in the head.
func (m *Manager) adopt(s *stream.Stream, msg *h1.Message) {
	h := &s.Request
	i := &s.Info
	i.Protocol = msg.Version
	i.RequestHeaderBytes = uint64(msg.Size)
	s.Method, s.Path, s.Authority = h.Value(header.Method), h.Value(header.Path), h.Value(header.Authority)
	s.NoBody, s.HeadRequest = msg.Body == h1.NoBody, msg.Head
	s.TLS = s.Conn.Info.TLSVersion != ""
	s.Idle = m.cfg.StreamIdle
	if m.cfg.RequestTimeout > 0 {
		s.RequestDeadline = i.Start.Add(m.cfg.RequestTimeout)
	}
	if m.cfg.MaxStreamDuration > 0 {
		s.MaxDeadline = i.Start.Add(m.cfg.MaxStreamDuration)
	}
	switch {
	case msg.Connect:
		s.UpgradeType = connectType
	case msg.Upgrade:
		s.UpgradeType = h.Value(header.Upgrade)
	}
	if !msg.KeepAlive {
		s.MustClose()
	}
}

var connectType = []byte("connect")

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
