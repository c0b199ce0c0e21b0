package flows

import (
	"net/netip"
	"strings"
	"time"

	"github.com/weirproxy/weir/proxy/info"
)

// A Request is one of the sample that dry runs ask about, or a connection that is passed on as it is: that has no method. It is made
// of at most one flow every few milliseconds; those whose texts had to be cut are not in it.
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

// Sample gives the sample, the newest first.
func (t *Table) Sample() []Request {
	if t == nil {
		return nil
	}
	var out []Request
	now := time.Now()
	t.samples.each(func(e *Entry) {
		if !e.cut {
			f := t.flow(&e.record, now)
			out = append(out, f.Inputs())
		}
	})
	return out
}

// Inputs gives what a flow was decided by. Header fields are there only of flows of the sample, queries never.
func (f *Flow) Inputs() Request {
	q := Request{
		At: f.Start, Listener: f.Listener, Source: f.Client, Dest: f.Destination, Transport: info.Transport(f.Transport),
		ServerName: f.ServerName, TLS: f.tls, HTTP2: f.Protocol == info.HTTP2.String(), Method: f.Method, Host: f.Authority,
		HeaderField: f.Headers, Rand: f.rand, Scope: f.scope,
	}
	if len(f.ALPN) > 0 {
		q.ALPN = f.ALPN[0]
	}
	q.Path, _, q.Query = strings.Cut(f.Path, "?")
	return q
}

// Sampled tells whether the few header fields that are kept were.
func (f *Flow) Sampled() bool { return f.sampled }
