// Package hcm is the HTTP connection manager: it picks the codec of a
// connection, takes each request through the filter chain, and records how it
// went.
//
// hcm.go has the manager, chain.go its filters, http1.go the life of an HTTP/1 connection, request.go and
// the files beside it what makes a request canonical, end.go the end of a stream.
//
// The life of a connection: await a request, read its head, make it canonical
// (host, path, forwarding headers, request id), match its route once, run the
// chain, settle the codec, write the access log; then the next, until either side
// wants to close or the connection is asked to drain.
package hcm

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// A Manager serves connections by one configuration. It is shared by all
// connections of its filter chain.
type Manager struct {
	// set in New, never changed
	cfg     *Config
	rules   h1.RequestRules
	http2   h2.Options
	h2stats *h2.Stats
	live    *route.Live    // or
	scoping *route.Scoping // … scoped routes
	stats   *Stats
	below   *ListenerStats // nil outside of a listener
	log     *zap.Logger
	loggers []filters.AccessLogger
	flows   *flows.Table
	links   []link
	slots   *stream.Slots

	now atomic.Pointer[serving]
}

// New builds a connection manager: its HTTP filters, its access loggers, and the
// route table it looks at.
func New(cfg *Config, bc *filters.BuildContext) (*Manager, error) {
	if bc.Transparent {
		cfg = cfg.transparent()
	}
	m := &Manager{cfg: cfg, rules: cfg.Rules, flows: bc.Flows, log: bc.Log}
	m.rules.Limits = m.rules.WithDefaults()
	m.http2 = http2Options(cfg)
	scope := bc.Stats.Scope("http", cfg.StatPrefix)
	m.stats = stats.Fill[Stats](scope)
	if bc.Listener != nil {
		m.below = stats.Fill[ListenerStats](bc.Listener.Scope("http", cfg.StatPrefix))
	}
	m.h2stats = stats.Fill[h2.Stats](scope.Scope("http2"))
	switch {
	case cfg.Scopes != nil:
		m.scoping = scoping(cfg.Scopes, cfg.StatPrefix, bc)
	case cfg.Table != nil:
		m.live = new(route.Live)
		m.live.Store(cfg.Table)
	default:
		m.live = bc.Routes(cmp.Or(cfg.RouteKey, cfg.RouteName))
	}
	own := *bc
	own.Slots = new(stream.Slots)
	own.HTTP = scope
	m.slots = own.Slots
	for i, p := range cfg.Filters {
		if p.Disabled {
			continue
		}
		f, err := filters.Make(p, &own)
		if err != nil {
			return nil, fmt.Errorf("http_filters[%d] %q: %w", i, p.Name, err)
		}
		m.links = append(m.links, link{p.Name, f})
	}
	m.assemble()
	for _, l := range m.links {
		if d, ok := l.filter.(*filters.Discovered); ok {
			d.OnChange(m.assemble)
		}
	}
	var err error
	if m.loggers, err = filters.MakeLoggers(cfg.AccessLog, &own); err != nil {
		return nil, err
	}
	return m, nil
}

// ServeConn implements filters.TerminalFilter.
func (m *Manager) ServeConn(c *conn.Conn) error {
	st, start := m.stats, time.Now()
	st.CxTotal.Inc()
	st.CxActive.Inc()
	if c.Info.TLSVersion != "" {
		st.CxSSLTotal.Inc()
	}
	err := m.serveCodec(c, start)
	st.CxActive.Dec()
	st.CxDestroy.Inc()
	if err == io.EOF {
		st.CxDestroyRemote.Inc()
		err = nil
	} else {
		st.CxDestroyLocal.Inc()
	}
	st.CxRxBytes.Add(c.Info.BytesReceived)
	st.CxTxBytes.Add(c.Info.BytesSent)
	st.CxLength.Record(uint64(time.Since(start).Milliseconds()))
	return err
}

// get takes a stream from the pool for a request of the connection.
func (m *Manager) get(c *conn.Conn, codec stream.Codec) *stream.Stream {
	s := m.now.Load().streams.Get().(*stream.Stream)
	m.start(s, c, codec)
	return s
}

// start begins an empty stream's next life.
func (m *Manager) start(s *stream.Stream, c *conn.Conn, codec stream.Codec) {
	s.Begin(c, codec, m.live, rand.Uint64())
	if m.scoping != nil {
		s.Scoped(m.scoping)
	}
}

// again is get for who kept a stream from the request before; it may be nil.
func (m *Manager) again(s *stream.Stream, c *conn.Conn, codec stream.Codec) *stream.Stream {
	if s == nil || m.now.Load().chain != s.Chain() {
		return m.get(c, codec)
	}
	m.start(s, c, codec)
	return s
}

// put gives a stream back that is over.
func (m *Manager) put(s *stream.Stream) {
	s.Recycle()
	m.pool(s)
}

// pool takes back an empty stream; one of a chain that was replaced is dropped.
func (m *Manager) pool(s *stream.Stream) {
	if v := m.now.Load(); v.chain == s.Chain() {
		v.streams.Put(s)
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

func bound(from time.Time, d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return from.Add(d)
}
