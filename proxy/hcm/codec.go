package hcm

import (
	"time"

	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/sniff"
)

// serveCodec finds out which HTTP a connection speaks and serves it: what is
// configured, what ALPN settled, or what its first bytes say (Envoy: codec_type).
func (m *Manager) serveCodec(c *conn.Conn, start time.Time) error {
	if m.cfg.Codec == HTTP2 || m.cfg.Codec == Auto && c.Info.NegotiatedALPN == "h2" {
		return m.serveHTTP2(c)
	}
	srv := h1.NewServer(c, &m.rules, m.cfg.StreamIdle)
	until := m.idleUntil(start, bound(start, m.cfg.MaxConnDuration))
	err := srv.Await(until)
	if err == nil && m.cfg.Codec == Auto && c.Info.NegotiatedALPN == "" && m.preface(c, until) {
		return m.serveHTTP2(c)
	}
	return m.serveHTTP1(c, srv, err, start)
}

// preface tells whether a connection begins with HTTP/2's (RFC 9113 §3.4); it waits
// for more only while that is possible.
func (m *Manager) preface(c *conn.Conn, until time.Time) bool {
	for {
		switch sniff.HTTP2Preface(c.In.Bytes()) {
		case sniff.Match:
			return c.SetReadDeadline(time.Time{}) == nil
		case sniff.NoMatch:
			return false
		}
		if c.SetReadDeadline(until) != nil {
			return false
		}
		if _, err := c.ReadBuf(&c.In); err != nil {
			return false // HTTP/1 makes what it can of the beginning
		}
	}
}

// http2Options are the options of HTTP/2 connections.
func http2Options(cfg *Config) h2.Options {
	o := h2.OptionsOf(&cfg.HTTP2)
	o.Fields = fields.Limits{MaxListSize: uint32(cfg.Rules.MaxHead), MaxCount: cfg.Rules.MaxFields}
	switch cfg.Rules.Underscores {
	case h1.RejectUnderscores:
		o.Fields.Underscores = fields.RejectUnderscores
	case h1.DropUnderscores:
		o.Fields.Underscores = fields.DropUnderscores
	}
	o.WriteIdle, o.LateGrace = cfg.StreamIdle, cfg.DelayedClose
	return o
}
