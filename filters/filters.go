// Package filters is the API a filter implements: what its factory looks like,
// what it is given when it is built, and the interfaces by which the data path
// calls it. It contains no filter.
package filters

import (
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
)

// The HTTP filter interfaces and verdicts live with the stream; these are the
// names filters use.
type (
	Verdict          = stream.Verdict
	RequestHeaders   = stream.RequestHeaders
	RequestBody      = stream.RequestBody
	RequestTrailers  = stream.RequestTrailers
	ResponseHeaders  = stream.ResponseHeaders
	ResponseBody     = stream.ResponseBody
	ResponseTrailers = stream.ResponseTrailers
	StreamEnd        = stream.StreamEnd
	Terminal         = stream.Terminal
)

// The verdicts.
const (
	Continue = stream.Continue
	Stop     = stream.Stop
)

// Need is what a listener filter wants next: Done, Close, or n > 0 for "call me
// again when there are more bytes than now; n is a hint of how many in all".
type Need int

// The needs that are not a number of bytes.
const (
	Done  Need = 0
	Close Need = -1 // refuse the connection; the error says why
)

// An Inspection is one listener filter at work on one connection. It is pure
// over bytes: peek is all that was read so far, and consume, when Done, says how
// many of its bytes are not for the next in line (a PROXY header).
type Inspection interface {
	Inspect(peek []byte, c *info.Conn) (need Need, consume int, err error)
}

// A ListenerFilter makes an Inspection per connection, or nil when it has
// nothing to look at in the bytes and did its work on c at once.
type ListenerFilter interface {
	NewInspection(c *conn.Conn) Inspection
}

// A NetworkFilter sees a new connection before the terminal filter serves it.
type NetworkFilter interface {
	OnNewConnection(c *conn.Conn) Verdict
}

// An AdmissionFilter is a network filter that decides before the transport socket
// has the bytes: a connection that is one too many shall not cost a handshake
// (Envoy: onNewConnection, which comes before the handshake). The admission filters
// of a chain come before its other network filters, in their order.
type AdmissionFilter interface {
	OnAccept(c *conn.Conn) Verdict
}

// ConnectionEnd is implemented by network filters that must know when a connection
// that they saw is over, also one that they stopped. It is called once for each
// call of OnAccept and OnNewConnection that returned, last first, in the
// connection's goroutine and before the connection is closed: whoever sees it closed
// may count on what the filter gives back.
type ConnectionEnd interface {
	OnConnectionEnd(c *conn.Conn)
}

// A TerminalFilter ends a network filter chain: tcp_proxy, the HTTP connection
// manager. ServeConn returns when the connection is over; its caller closes it.
type TerminalFilter interface {
	ServeConn(c *conn.Conn) error
}

// An AheadOpener is a terminal filter that can open its upstream connection while the client's first bytes are waited for.
type AheadOpener interface {
	// OpenAhead begins to connect to the original destination of c, if that is where the filter takes c whatever its
	// client says; nil if it is not. It does not block. woken is called once, by another goroutine, when the server
	// speaks or ends the connection before Settle.
	OpenAhead(c *conn.Conn, woken func()) conn.Ahead
}

// A Looker is a listener filter that only looks at bytes: without any it changes nothing of the connection, and asks for
// nothing to be refused. A destination may be connected to while it waits.
type Looker interface{ OnlyLooks() }

// An AccessLogger writes one entry for a finished stream, or for a finished
// connection when s is nil.
type AccessLogger interface {
	Log(c *conn.Conn, s *stream.Stream)
}

// A LogFilter decides whether a finished stream, or a finished connection when s is
// nil, is logged (Envoy: AccessLogFilter). It is immutable.
type LogFilter interface {
	Logs(c *conn.Conn, s *stream.Stream) bool
}

// A BuildContext is what a filter may use when it is built.
type BuildContext struct {
	Log      *zap.Logger
	Stats    *stats.Scope                  // the root of all statistics
	Listener *stats.Scope                  // listener.<address>.
	HTTP     *stats.Scope                  // http.<stat_prefix>.; set while an HTTP chain is built
	Clusters *upstream.Manager             // live clusters, found by name
	Routes   func(name string) *route.Live // the route table an RDS name stands for
	// Scopes gives the scopes that SRDS brings from a source, with their tables from another, and counts them under
	// http.<prefix>.scoped_rds.<name>.
	Scopes   func(source string, routes extension.Source, prefix, name string) *route.LiveScopes
	Discover Discoverer // asks the control plane for what a request needs; nil asks nobody
	// Extensions gives the live configuration of a key of extension.Discovery; nil discovers none.
	Extensions func(key string) *extension.Live
	Loggers    func(path string) (Sink, error) // files shared by access loggers
	Shared     *Shared                         // what filters have in common; nil shares nothing
	Slots      *stream.Slots                   // per-stream state; set while an HTTP chain is built
	// Transparent says that the chain passes HTTP messages on without a field of our own.
	Transparent bool
	Name        string // the filter's name in its chain
	Node        Node   // who we are to control planes and log services
	Draining    func() bool
	Flows       *flows.Table    // where requests leave what they are and where they went; nil: nowhere
	Closing     <-chan struct{} // closed when what is being built is torn down

	// Secrets gives the live secret of a key of extension.Context.RequireFrom; it may be empty yet. Keep makes one of a secret
	// that stands in the configuration itself: again reads it anew when its files change, until done (Closing) is closed.
	Secrets func(key string) *secret.Live
	Keep    func(s *secret.Secret, again func() (*secret.Secret, error), done <-chan struct{}) *secret.Live
	// WatchSecret calls changed with a secret, when it is there, and after each of its changes. Some time after done was closed it
	// does no more and calls gone. Nil watches nothing.
	WatchSecret func(l *secret.Live, changed func(*secret.Secret), gone func(), done <-chan struct{})
}

// A Node is who this process is (Envoy: Node).
type Node struct{ ID, Cluster string }

// A Sink takes whole access log lines; Write does not keep p.
type Sink interface{ Write(p []byte) (int, error) }

// NewSlot allots per-stream state of type T to the filter being built.
func NewSlot[T any](bc *BuildContext) stream.Slot[T] { return stream.NewSlot[T](bc.Slots) }
