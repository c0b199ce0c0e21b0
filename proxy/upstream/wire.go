package upstream

import (
	"context"
	"net/netip"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// A wire is a connection for checks; it counts nowhere.
type wire struct {
	link *link
	h1   *h1.Client
	h2   *h2.ClientConn
	gen  [2]uint32
	to   netip.AddrPort
}

// close ends the connection; w may be nil.
func (w *wire) close() {
	switch {
	case w == nil:
	case w.h1 != nil:
		_ = w.h1.Close()
	case w.h2 != nil:
		w.h2.Close()
	default:
		_ = w.link.conn.Close()
	}
}

// usable tells whether the connection can carry another check.
func (w *wire) usable(h *Host, to netip.AddrPort) bool {
	switch {
	case w.gen != h.generation() || w.to != to:
		return false
	case w.h2 != nil:
		return w.h2.Usable()
	}
	return w.link.quiet()
}

// wire opens a connection for checks, with the options and the transport socket
// that connections for traffic have.
func (h *Host) wire(ctx context.Context, hc *cluster.HealthCheck, to netip.AddrPort) (*wire, error) {
	c := h.cluster
	w := &wire{gen: h.generation(), to: to}
	cfg := c.cfg.Load()
	opts := c.m.dialOptions(cfg, &OpenInfo{})
	opts.Deadline, _ = ctx.Deadline()
	var s *netio.Socket
	var err error
	if h.pipe != "" {
		s, err = dialUnix(h.pipe, &opts)
	} else {
		s, err = netio.Dial(ctx, to, opts)
	}
	if err != nil {
		return nil, err
	}
	two := hc.GRPC != nil || hc.HTTP != nil && hc.HTTP.HTTP2
	w.link = &link{sock: s, conn: s}
	if t := c.transport(h); t != nil {
		target := &tlsctx.Target{Address: h.String(), Hostname: h.Hostname(), ALPN: hc.ALPN}
		switch {
		case two:
			target.Fallback = alpnHTTP2
		case hc.HTTP != nil:
			target.Fallback = alpnHTTP1
		}
		if w.link.conn, w.link.tls, err = t.Handshake(s, opts.Deadline, target); err != nil {
			_ = s.Close()
			return nil, err
		}
	}
	switch {
	case two:
		o := h2.OptionsOf(&cfg.HTTP.H2)
		o.Fields = fields.Limits{MaxListSize: cfg.HTTP.MaxResponseHeaderKB << 10, MaxCount: int(cfg.HTTP.MaxHeaders)}
		o.WriteIdle, o.Tick = c.m.o.WriteIdle, c.m.o.Tick
		conn := w.link.conn
		if w.h2, err = h2.NewClientConn(conn, &o, c.http2(), h2.ClientEvents{}); err != nil {
			_ = conn.Close()
			return nil, err
		}
	case hc.HTTP != nil:
		w.h1 = h1.NewClient(w.link.conn, c.m.clientOptions(cfg))
	}
	return w, nil
}
