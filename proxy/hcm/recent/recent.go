// Package recent keeps what some of the latest requests were matched by, so that a dry run can ask where they would go under another
// configuration.
//
// It is a sample: at most one request every few milliseconds, in a ring of fixed size. Noting one copies bytes into memory that is
// there already; for all others it is one load and a comparison. What may be secret is not kept: queries, and all header fields but
// the few that say what kind of request it is. Of those that chose a scope of routes the key is kept, which the configuration has too.
package recent

import (
	"bytes"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// The bounds of the ring and of what an entry holds, in bytes. Longer requests are not noted.
const (
	entries   = 512
	maxMethod = 24
	maxHost   = 128
	maxPath   = 256
	maxName   = 128
	maxALPN   = 16
	maxField  = 64
	maxScope  = 64
)

// Every is the shortest time between two requests that are noted.
const Every = 5 * time.Millisecond

// kept are the header fields whose values are noted.
func kept() []header.Name {
	return []header.Name{
		header.Intern("content-type"), header.Intern("accept"), header.Intern("user-agent"), header.Intern("x-forwarded-proto"),
	}
}

// A Ring is the sample. Its methods may be called from any goroutine.
type Ring struct {
	kept  []header.Name // set in New, never changed
	last  atomic.Int64  // when the last one was noted, in nanoseconds of the epoch
	next  atomic.Uint64
	slots [entries]slot
}

type slot struct {
	mu   sync.Mutex
	used bool // guarded by mu, like all below

	at           time.Time
	listener     string
	source, dest netip.AddrPort
	transport    info.Transport
	name         text[[maxName]byte]
	alpn         text[[maxALPN]byte]
	tls, query   bool
	http2        bool
	rand         uint64
	method       text[[maxMethod]byte]
	host         text[[maxHost]byte]
	path         text[[maxPath]byte]
	scope        text[[maxScope]byte]
	fields       [4]text[[maxField]byte]
}

// text is a short string in place.
type text[A any] struct {
	b A
	n int
}

// New makes an empty ring.
func New() *Ring { return &Ring{kept: kept()} }

// Note may keep a request whose route is about to be looked for.
func (r *Ring) Note(s *stream.Stream) {
	now, last := s.Info.Start.UnixNano(), r.last.Load()
	if now-last < int64(Every) || !r.last.CompareAndSwap(last, now) {
		return
	}
	c := &s.Conn.Info
	path, _, query := bytes.Cut(s.Path, []byte("?"))
	if len(s.Method) > maxMethod || len(s.Authority) > maxHost || len(path) > maxPath || len(c.ServerName) > maxName {
		return
	}
	o := r.slot(c, s.Info.Start)
	if o == nil {
		return
	}
	defer o.mu.Unlock()
	o.tls, o.query, o.rand, o.http2 = s.TLS, query, s.Rand(), s.Info.Protocol == info.HTTP2
	o.method.n = copy(o.method.b[:], s.Method)
	o.host.n = copy(o.host.b[:], s.Authority)
	o.path.n = copy(o.path.b[:], path)
	if o.scope.n = 0; s.Scope() != nil && len(s.Scope().Key) <= maxScope {
		o.scope.n = copy(o.scope.b[:], s.Scope().Key)
	}
	for i, n := range r.kept {
		o.fields[i].n = copy(o.fields[i].b[:], s.Request.Value(n))
	}
}

// NoteConn may keep a connection that is passed on as it is.
func (r *Ring) NoteConn(c *info.Conn, start time.Time) {
	now, last := start.UnixNano(), r.last.Load()
	if now-last < int64(Every) || len(c.ServerName) > maxName || !r.last.CompareAndSwap(last, now) {
		return
	}
	o := r.slot(c, start)
	if o == nil {
		return
	}
	defer o.mu.Unlock()
	o.tls, o.query, o.rand, o.http2 = c.TLSVersion != "", false, 0, false
	o.method.n, o.host.n, o.path.n, o.scope.n = 0, 0, 0, 0
	for i := range o.fields {
		o.fields[i].n = 0
	}
}

// slot gives the next slot, locked, with what is known of the connection; nil when it is being read.
func (r *Ring) slot(c *info.Conn, at time.Time) *slot {
	o := &r.slots[r.next.Add(1)%entries]
	if !o.mu.TryLock() {
		return nil
	}
	o.used, o.at, o.listener, o.source, o.dest, o.transport = true, at, c.Listener, c.Source, c.Dest, c.Transport
	o.name.n = copy(o.name.b[:], c.ServerName)
	if o.alpn.n = 0; len(c.ALPN) > 0 {
		o.alpn.n = copy(o.alpn.b[:], c.ALPN[0])
	}
	return o
}

// A Request is one of the sample, or a connection that is passed on as it is: that has no method.
type Request struct {
	At          time.Time         `json:"at"`
	Listener    string            `json:"listener"`
	Source      netip.AddrPort    `json:"-"`
	Dest        netip.AddrPort    `json:"destination"` // where the client wanted to go
	Transport   info.Transport    `json:"-"`
	ServerName  string            `json:"server_name,omitempty"`
	ALPN        string            `json:"alpn,omitempty"` // the first
	TLS         bool              `json:"tls,omitempty"`
	HTTP2       bool              `json:"http2,omitempty"`
	Method      string            `json:"method,omitempty"`
	Host        string            `json:"host,omitempty"`
	Path        string            `json:"path,omitempty"`  // without the query
	Query       bool              `json:"query,omitempty"` // it had one
	HeaderField map[string]string `json:"headers,omitempty"`
	Rand        uint64            `json:"-"` // by which it drew its share of weighted clusters
	Scope       string            `json:"-"` // key of the scope it had (route.Scope.Key)
}

// All gives the sample, newest first.
func (r *Ring) All() []Request {
	var out []Request
	next := r.next.Load()
	for i := range uint64(entries) {
		o := &r.slots[(next-i)%entries]
		o.mu.Lock()
		if o.used {
			out = append(out, o.request(r.kept))
		}
		o.mu.Unlock()
	}
	return out
}

func (o *slot) request(kept []header.Name) Request {
	q := Request{
		At: o.at, Listener: o.listener, Source: o.source, Dest: o.dest, Transport: o.transport, TLS: o.tls, Query: o.query, Rand: o.rand, HTTP2: o.http2, Scope: string(o.scope.b[:o.scope.n]),
		ServerName: string(o.name.b[:o.name.n]), ALPN: string(o.alpn.b[:o.alpn.n]), Method: string(o.method.b[:o.method.n]),
		Host: string(o.host.b[:o.host.n]), Path: string(o.path.b[:o.path.n]),
	}
	for i, n := range kept {
		if v := o.fields[i]; v.n > 0 {
			if q.HeaderField == nil {
				q.HeaderField = map[string]string{}
			}
			q.HeaderField[n.String()] = string(v.b[:v.n])
		}
	}
	return q
}
