package upstream

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// A Transport is an upstream transport socket: it turns a fresh connection to a host into one whose bytes are the plain ones. When it
// fails the connection is the caller's to close.
type Transport interface {
	Handshake(under netio.Conn, deadline time.Time, h *tlsctx.Target) (netio.Conn, *tlsctx.State, error)
}

// A TransportContext is what a Transport may use when it is built.
type TransportContext struct {
	Stats   *stats.Scope // cluster.<name>.
	Secrets func(key string) *secret.Live
	Keep    func(s *secret.Secret, again func() (*secret.Secret, error), done <-chan struct{}) *secret.Live
	Closing <-chan struct{} // closed when what is being built is not used any more
	// WatchSecret is as in filters.BuildContext.
	WatchSecret func(l *secret.Live, changed func(*secret.Secret), gone func(), done <-chan struct{})
}

// A BuildTransport is the Factory.Build of upstream transport sockets.
type BuildTransport func(cfg any, tc *TransportContext) (Transport, error)

// transports are what a cluster's transport sockets were built to. They are immutable.
type transports struct {
	cfg     *cluster.Cluster // TransportSocket and TransportMatches are what they were built of
	def     Transport        // nil is raw_buffer, here and below
	matches []Transport      // by the place in TransportMatches
	closing chan struct{}
}

// buildTransports builds a cluster's transport sockets; what was built of equal ones stays.
func (c *Cluster) buildTransports(cfg *cluster.Cluster) (*transports, error) {
	if was := c.transports.Load(); was != nil && reflect.DeepEqual(was.cfg.TransportSocket, cfg.TransportSocket) &&
		reflect.DeepEqual(was.cfg.TransportMatches, cfg.TransportMatches) {
		return was, nil
	}
	t := &transports{cfg: cfg, closing: make(chan struct{})}
	tc := &TransportContext{Stats: c.scope, Secrets: c.m.o.Secrets, Keep: c.m.o.Keep, WatchSecret: c.m.o.WatchSecret, Closing: t.closing}
	build := func(p *extension.Parsed) (Transport, error) {
		if p == nil {
			return nil, nil
		}
		b, ok := p.Factory.Build.(BuildTransport)
		if !ok {
			return nil, fmt.Errorf("%s is not for upstream connections", p.Factory.Name)
		}
		return b(p.Config, tc)
	}
	var errs []error
	var err error
	if t.def, err = build(cfg.TransportSocket); err != nil {
		errs = append(errs, fmt.Errorf("transport_socket: %w", err))
	}
	for i := range cfg.TransportMatches {
		m, err := build(cfg.TransportMatches[i].Socket)
		if err != nil {
			errs = append(errs, fmt.Errorf("transport_socket_matches[%d].transport_socket: %w", i, err))
		}
		t.matches = append(t.matches, m)
	}
	if err := errors.Join(errs...); err != nil {
		close(t.closing)
		return nil, err
	}
	return t, nil
}

// useTransports puts them in force, and tells whether connections of before are of another kind.
func (c *Cluster) useTransports(t *transports) (changed bool) {
	was := c.transports.Swap(t)
	if was == t {
		return false
	}
	if was != nil {
		close(was.closing)
	}
	return was != nil
}

// closeTransports lets go of what they hold; connections may still use them.
func (c *Cluster) closeTransports() {
	if was := c.transports.Load(); was != nil {
		select {
		case <-was.closing:
		default:
			close(was.closing)
		}
	}
}

// transport is the one that a host's connections use; nil is raw_buffer.
func (c *Cluster) transport(h *Host) Transport {
	t := c.transports.Load()
	if t == nil {
		return nil
	}
	s := h.spec.Load()
	if i := cluster.ChooseTransport(t.cfg.TransportMatches, s.labels, s.around()); i >= 0 {
		return t.matches[i]
	}
	return t.def
}

// A link is an open connection to a host.
type link struct {
	sock *netio.Socket
	conn netio.Conn // sock itself, or what makes it safe
	tls  *tlsctx.State
}

// quiet tells whether the peer has neither spoken nor left since the last byte that was read (netio.Socket.Quiet). What only keeps TLS
// going does not count.
func (l *link) quiet() bool {
	if q, ok := l.conn.(interface{ Quiet() bool }); ok {
		return q.Quiet()
	}
	return l.sock.Quiet()
}

// alpn is the protocol that ALPN settled on; "" for none.
func (l *link) alpn() string {
	if l.tls == nil {
		return ""
	}
	return l.tls.ALPN
}

// secure lets the host's transport socket take a fresh connection over, until the deadline; the zero one is for ever.
func (c *Cluster) secure(cfg *cluster.Cluster, h *Host, o *OpenInfo, s *netio.Socket, deadline time.Time, raw bool) (*link, error) {
	l := &link{sock: s, conn: s}
	t := c.transport(h)
	if t == nil {
		return l, nil
	}
	var err error
	if l.conn, l.tls, err = t.Handshake(s, deadline, c.target(cfg, h, o, raw)); err != nil {
		_ = s.Close()
		return nil, err
	}
	return l, nil
}

// ALPN of the codecs.
var (
	alpnHTTP1 = []string{"http/1.1"}
	alpnHTTP2 = []string{"h2"}
	alpnBoth  = []string{"h2", "http/1.1"}
)

// target says what the host is to its transport socket; raw that the bytes are no requests of ours.
func (c *Cluster) target(cfg *cluster.Cluster, h *Host, o *OpenInfo, raw bool) *tlsctx.Target {
	t := &tlsctx.Target{Address: h.String(), Hostname: h.Hostname(), SNI: o.SNI}
	if o.SAN != "" {
		t.SANs = []secret.SANMatcher{secret.ExactHost(o.SAN)}
	}
	if raw {
		t.Fallback = o.ALPN
		return t
	}
	switch cfg.HTTP.Protocol {
	case cluster.HTTP2:
		t.Fallback = alpnHTTP2
	case cluster.ByALPN:
		t.ALPN = alpnBoth
	case cluster.LikeDownstream:
		t.Fallback = alpnHTTP1
		if o.HTTP2 {
			t.Fallback = alpnHTTP2
		}
	case cluster.HTTP1:
		t.Fallback = alpnHTTP1
	}
	return t
}
