// Package stream is one HTTP request and its response, as filters see them, and
// the chain of filters it goes through.
//
// A Stream is served by one goroutine, in straight-line code: request phases in
// chain order, then the terminal filter, which sends the response through the
// response phases in reverse order, then StreamEnd. Streams are pooled per chain.
package stream

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// A Stream is one request and its response. It is a context.Context of its own
// (see context.go), which ends when the client leaves or the stream is over.
type Stream struct {
	Request, Response                 header.Headers
	RequestTrailers, ResponseTrailers header.Headers

	// Kept is the terminal filter's own, from one life to the next.
	Kept any

	chain     *Chain
	slots     []slot
	req       route.Request
	replyBody []byte
	key       []byte // memory of scoping

	life
}

// life is what a Stream begins anew with each request.
type life struct {
	Info info.Stream
	Conn *conn.Conn
	Flow *flows.Entry // where the stream is seen by people; nil: nowhere

	// Set by the codec when the request head is in.
	Method, Path, Authority []byte // as received or as filters changed them: SetPath, SetAuthority
	TLS                     bool
	NoBody                  bool       // the request ends with its head
	HeadRequest             bool       // the response has no body
	UpgradeType             []byte     // Upgrade header of a request that asks for one, lower case; "connect" for CONNECT
	UpgradeKey              string     // Sec-WebSocket-Key that we made for a client that has none (RFC 8441)
	Client                  netip.Addr // who asks, as far as known: x-forwarded-for as trusted, else the peer
	Internal                bool       // the client is on an internal address (Envoy: x-envoy-internal)
	Transparent             bool       // x-envoy-* fields are neither obeyed nor taken away, and none is added
	NameAsked               []byte     // the host that Info.NameCheck is of, as long as that is unknown
	EdgeRequest             bool       // came from outside: x-envoy-* overrides are not obeyed

	// Bounds of this stream, set before the chain runs; zero is no bound.
	RequestDeadline time.Time     // the whole request must be in by then
	MaxDeadline     time.Time     // the whole stream must be over by then (max_stream_duration)
	CallDeadline    time.Time     // what a gRPC client's grpc-timeout said; it bounds nothing by itself
	Idle            time.Duration // the longest wait without any byte either way

	codec   Codec
	live    *route.Live
	scoping *route.Scoping // in the place of live
	scope   *route.LiveScope
	scoped  bool // scope is that of the request as it is
	table   *route.Table
	matched bool
	route   *route.Route
	weight  *route.ClusterWeight
	rand    uint64

	bodyDone     atomic.Bool // the whole request was read; a terminal filter may read it on a goroutine of its own
	replied      bool        // a response head went into the output
	ended        bool        // … and its end
	respPhase    int         // response filters that have seen the head
	mustClose    bool        // the connection cannot serve another request
	ctx          context
	statusBuffer [8]byte
}

// New makes a stream for a chain; Begin starts each of its lives.
func New(c *Chain) *Stream {
	s := &Stream{chain: c, slots: make([]slot, len(c.slots))}
	for i, m := range c.slots {
		s.slots[i] = m()
	}
	return s
}

// Begin starts a request: the codec has not read its head yet.
func (s *Stream) Begin(c *conn.Conn, codec Codec, live *route.Live, rand uint64) {
	s.Conn, s.codec, s.live, s.rand = c, codec, live, rand
}

// Scoped has the request's scope choose the route table.
func (s *Stream) Scoped(g *route.Scoping) { s.scoping = g }

// Recycle empties the stream for its next life.
func (s *Stream) Recycle() {
	s.ctx.end()
	s.Request.Reset()
	s.Response.Reset()
	s.RequestTrailers.Reset()
	s.ResponseTrailers.Reset()
	s.Request.Shrink(maxKept)
	s.Response.Shrink(maxKept)
	for i := range s.slots {
		s.slots[i].zero()
	}
	s.life = life{}
}

// maxKept is the largest header arena, in bytes, that stays with a pooled stream.
const maxKept = 64 << 10

// Rand is the request's own random number: every draw made for the request is
// derived from it, so that draws repeat in retries, logs and explain.
func (s *Stream) Rand() uint64 { return s.rand }

// SetRand replaces the random number, as a request id that came with the
// request does.
func (s *Stream) SetRand(r uint64) { s.rand = r }

// Chain gives the chain the stream runs through.
func (s *Stream) Chain() *Chain { return s.chain }

// Codec gives the downstream codec, for the terminal filter.
func (s *Stream) Codec() Codec { return s.codec }

// Table gives the route table this stream sees from its first look to its end.
func (s *Stream) Table() *route.Table {
	if s.table != nil {
		return s.table
	}
	if s.scoping != nil {
		if c := s.Scope(); c != nil {
			s.table = c.Live.Load()
		}
	} else if s.live != nil {
		s.table = s.live.Load()
	}
	return s.table
}

// Scope gives the scope of the request as it was at the first look or after the last
// ClearRoute; nil when it has none, or routes are not scoped.
func (s *Stream) Scope() *route.LiveScope {
	if s.scoping != nil && !s.scoped {
		s.scoped = true
		s.scope, s.key = s.scoping.Find(&s.Request, s.key, nil)
	}
	return s.scope
}

// RouteRequest gives what routes are matched by, as it is now. It stays with the
// stream and is valid until the next call.
func (s *Stream) RouteRequest() *route.Request {
	r := &s.req
	r.Authority, r.Path, r.Method = s.Authority, s.Path, s.Method
	r.Headers, r.Rand, r.TLS = &s.Request, s.rand, s.TLS
	return r
}

// Route gives the route, matched once and remembered; nil when none matches.
func (s *Stream) Route() *route.Route {
	if !s.matched {
		s.matched = true
		s.route = nil
		if t := s.Table(); t != nil {
			s.route = t.Match(s.RouteRequest(), nil)
			s.share()
		}
	}
	return s.route
}

// share draws the share of percentage routing at once where a share has filter
// configurations of its own: the filters before the router must see them. The draw
// is the request's own, so the router's is the same, unless the hash policy decides.
func (s *Stream) share() {
	if s.route == nil || s.route.Forward == nil || s.route.Forward.Weighted == nil {
		return
	}
	w := s.route.Forward.Weighted
	if w.UseHashPolicy || !slices.ContainsFunc(w.Clusters, func(c route.ClusterWeight) bool { return len(c.FilterConfigs) > 0 }) {
		return
	}
	_, _, s.weight = s.route.Forward.Pick(s.RouteRequest(), 0, false, nil)
}

// ClearRoute forgets the route, so that the next Route matches again: for a
// filter that changed what routes are matched by. A request whose routes are scoped
// may be of another scope then (Envoy: refreshCachedRoute).
func (s *Stream) ClearRoute() {
	s.matched, s.weight = false, nil
	if s.scoping != nil {
		s.scoped, s.table = false, nil
	}
}

// Reroute forgets the route table as well: for a filter that waited until there is
// another one.
func (s *Stream) Reroute() {
	s.ClearRoute()
	s.table, s.scoped = nil, false
}

// SetWeight remembers the share that percentage routing chose.
func (s *Stream) SetWeight(w *route.ClusterWeight) { s.weight = w }

// RouteConfig gives the most specific per-route configuration of a filter of the
// chain: that of the weighted cluster, the route, the virtual host or the table.
func (s *Stream) RouteConfig(filter string) (any, bool) {
	cfg, _, ok := s.filterConfig(filter)
	return cfg, ok && cfg != nil
}

// disabled tells whether the route switches a filter off.
func (s *Stream) disabled(filter string) bool {
	_, off, _ := s.filterConfig(filter)
	return off
}

func (s *Stream) filterConfig(filter string) (cfg any, disabled, ok bool) {
	switch {
	case s.route == nil:
		return nil, false, false
	case s.weight != nil:
		return s.weight.FilterConfig(filter)
	case len(s.route.FilterConfigs) == 0:
		return nil, false, false
	}
	return s.route.FilterConfig(filter)
}

// SetPath changes the path and query that are sent upstream and matched by.
func (s *Stream) SetPath(p []byte) {
	s.Request.Set(header.Path, p)
	s.Path = s.Request.Value(header.Path)
}

// SetAuthority changes the host that is sent upstream.
func (s *Stream) SetAuthority(p []byte) {
	s.Request.Set(header.Authority, p)
	s.Authority = s.Request.Value(header.Authority)
}

// MustClose says that the connection cannot serve another request.
func (s *Stream) MustClose() { s.mustClose = true }

// Closing tells whether MustClose was said.
func (s *Stream) Closing() bool { return s.mustClose }
