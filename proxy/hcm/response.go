package hcm

import (
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// FinishResponse implements stream.Finisher: the last changes to a response
// head, after every filter (Envoy: mutateResponseHeaders).
func (m *Manager) FinishResponse(s *stream.Stream, end bool) {
	h, cfg := &s.Response, m.cfg
	switch cfg.ServerHeader {
	case Overwrite:
		h.SetString(header.Server, cfg.ServerName)
	case AppendIfAbsent:
		if !h.Has(header.Server) {
			h.AddString(header.Server, cfg.ServerName)
		}
	}
	if !h.Has(header.Date) && !cfg.Transparent {
		now := s.Info.UpstreamFirstByte
		if now.IsZero() {
			now = time.Now()
		}
		h.AddString(header.Date, httpDate(now))
	}
	if cfg.Via != "" {
		appendValue(h, header.Via, cfg.Via)
	}
	if cfg.AlwaysSetRequestIDInResponse {
		if id, ok := s.Request.Get(header.XRequestID); ok {
			h.Set(header.XRequestID, id)
		}
	}
	if upgraded(s) {
		m.stats.CxUpgradesTotal.Inc()
		m.stats.CxUpgradesActive.Inc()
	}
	if s.Info.Protocol == info.HTTP2 && s.Info.Code == 101 {
		fields.Connected(h) // RFC 8441 §5
	}
	s.Info.ResponseHeaderBytes = uint64(h.Size())
	if s.Conn.Draining() && s.Info.Code != 101 || end && !s.BodyDone() {
		s.MustClose()
	}
	if s.Closing() {
		if srv, ok := s.Codec().(*h1.Server); ok {
			srv.SetClose()
		}
	}
}

// date is the Date of one second; it is made again when the second has passed.
type date struct {
	unix int64
	text string
}

// lastDate only caches what anybody could compute: it is no state.
var lastDate atomic.Pointer[date]

// httpDate formats a time as an HTTP-date (RFC 9110 §5.6.7).
func httpDate(t time.Time) string {
	sec := t.Unix()
	if d := lastDate.Load(); d != nil && d.unix == sec {
		return d.text
	}
	d := &date{sec, t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	lastDate.Store(d)
	return d.text
}
