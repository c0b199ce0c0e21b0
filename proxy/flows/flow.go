package flows

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weirproxy/weir/proxy/info"
)

// A Flow is what is told of a request or a connection. What is not known, or does not apply, is left out.
type Flow struct {
	// ID names it: the connection's number, as in %CONNECTION_ID%, and of a request its number on it after a dot.
	ID        string    `json:"id"`
	RequestID string    `json:"request_id,omitempty"` // x-request-id, as in %STREAM_ID%
	Kind      string    `json:"kind"`                 // request or connection
	State     string    `json:"state"`                // live or ended; of live connections how far they are
	Start     time.Time `json:"start"`
	Duration  float64   `json:"duration_ms"` // until the end, or until now

	Client      netip.AddrPort `json:"client"`
	Destination netip.AddrPort `json:"destination,omitzero"` // where the client wanted to go
	Listener    string         `json:"listener,omitempty"`
	Chain       string         `json:"filter_chain,omitempty"`

	// What was sniffed, and what TLS came to.
	Transport  string   `json:"transport,omitempty"`
	ServerName string   `json:"server_name,omitempty"`
	ALPN       []string `json:"alpn,omitempty"`
	ECH        bool     `json:"ech,omitempty"`
	JA3        string   `json:"ja3,omitempty"`
	JA4        string   `json:"ja4,omitempty"`
	Note       string   `json:"sniff_note,omitempty"`
	NameCheck  string   `json:"name_check,omitempty"`    // of the server name, or a request's authority, and the destination; when it has ended
	First      string   `json:"first_speaker,omitempty"` // client or server, where that was waited for
	ServerSays string   `json:"server_protocol,omitempty"`
	TLSVersion string   `json:"tls_version,omitempty"`
	Negotiated string   `json:"negotiated_alpn,omitempty"`

	Protocol    string         `json:"protocol,omitempty"`
	Method      string         `json:"method,omitempty"`
	Authority   string         `json:"authority,omitempty"`
	Path        string         `json:"path,omitempty"`
	Cut         bool           `json:"cut,omitempty"` // a text was too long to be kept whole
	Requests    uint64         `json:"requests,omitempty"`
	VirtualHost string         `json:"virtual_host,omitempty"`
	Route       string         `json:"route,omitempty"`
	Cluster     string         `json:"cluster,omitempty"`
	Host        netip.AddrPort `json:"host,omitzero"`
	Attempts    int            `json:"attempts,omitempty"`
	Reused      bool           `json:"upstream_reused,omitempty"`
	Tries       []Try          `json:"tries,omitempty"` // those before the last, and a last that failed

	Code     int    `json:"code,omitempty"`
	Flags    string `json:"flags,omitempty"` // short names, joined by a comma
	Details  string `json:"details,omitempty"`
	Failure  string `json:"failure,omitempty"` // of a transport
	Received uint64 `json:"bytes_received"`    // from the client: bodies of requests, else all of a connection
	Sent     uint64 `json:"bytes_sent"`

	// Milliseconds since the start.
	RequestDone  float64 `json:"request_ms,omitempty"`
	FirstByte    float64 `json:"first_byte_ms,omitempty"`
	UpstreamDone float64 `json:"upstream_ms,omitempty"`

	Version uint64            `json:"snapshot,omitempty"` // of the configuration when it began
	Headers map[string]string `json:"headers,omitempty"`  // of a request of the sample, the few that are kept

	inputs
}

// inputs are what a flow was decided by, besides what is told.
type inputs struct {
	seq                 uint64
	flags               info.Flags
	rand                uint64
	scope               string
	tls, sampled, query bool
}

// ms are milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// flow copies a record; its entry is locked.
func (t *Table) flow(e *record, now time.Time) Flow {
	f := Flow{
		ID: strconv.FormatUint(e.conn, 10), RequestID: string(e.get(requestID)), Kind: "connection", State: "ended", Start: e.start, Duration: ms(e.end),
		Client: e.source, Destination: e.dest, Listener: e.listener, Chain: e.chain,
		Transport: string(e.transport), ServerName: string(e.get(serverName)), ECH: e.ech, JA3: e.ja3, JA4: e.ja4, Note: e.note,
		NameCheck: string(e.name), First: e.first, ServerSays: e.speaks,
		TLSVersion: e.tlsVersion, Negotiated: e.agreed,
		Method: string(e.get(method)), Authority: string(e.get(authority)), Path: string(e.get(path)), Cut: e.cut,
		VirtualHost: e.virtualHost, Route: e.route, Cluster: e.cluster, Host: e.host, Attempts: e.attempts, Reused: e.reused,
		Code: e.code, Details: e.details, Failure: e.failure, Received: e.received, Sent: e.sent,
		RequestDone: ms(e.requestDone), FirstByte: ms(e.firstByte), UpstreamDone: ms(e.upstreamDone), Version: e.version,
		inputs: inputs{e.seq, e.flags, e.rand, string(e.get(scope)), e.tls, e.sampled, false},
	}
	if a := e.get(alpn); len(a) > 0 {
		f.ALPN = strings.Split(string(a), ",")
	}
	if e.flags != 0 {
		f.Flags = e.flags.String()
	}
	if e.kind == connection {
		f.Requests = e.number
	} else {
		f.Kind, f.ID = "request", f.ID+"."+strconv.FormatUint(e.number, 10)
		if e.protocol != info.NoProtocol {
			f.Protocol = e.protocol.String()
		}
	}
	if e.state == live {
		f.State, f.Duration = "live", ms(now.Sub(e.start))
	}
	if e.tried > 0 {
		f.Tries = append(f.Tries, e.tries[:min(e.tried, maxTries)]...)
	}
	if !e.sampled {
		return f.withQuery()
	}
	for i, n := range t.kept {
		if v := e.get(fields + i); len(v) > 0 {
			if f.Headers == nil {
				f.Headers = map[string]string{}
			}
			f.Headers[n.String()] = string(v)
		}
	}
	return f.withQuery()
}

func (f Flow) withQuery() Flow {
	_, _, f.query = strings.Cut(f.Path, "?")
	return f
}

// redact hides the values of a query.
func (f *Flow) redact() {
	p, q, ok := strings.Cut(f.Path, "?")
	if !ok {
		return
	}
	parts := strings.Split(q, "&")
	for i, part := range parts {
		if name, _, has := strings.Cut(part, "="); has {
			parts[i] = name + hidden
		}
	}
	f.Path = p + "?" + strings.Join(parts, "&")
}

// key is what a flow is known by.
func (r *record) key() key { return key{r.conn, r.number, r.kind} }

type key struct {
	conn, number uint64
	kind         uint8
}

// Each calls f for every flow that is kept, once each; what f does not take lasts no longer than the call. reveal shows queries, if
// they are kept.
func (t *Table) Each(reveal bool, f func(*Flow)) {
	if t == nil {
		return
	}
	seen, now := map[key]bool{}, time.Now()
	look := func(e *Entry) {
		if k := e.key(); !seen[k] {
			seen[k] = true
			fl := t.flow(&e.record, now)
			if !reveal {
				fl.redact()
			}
			f(&fl)
		}
	}
	for i := range t.workers {
		t.workers[i].each(look)
	}
	for i := range t.workers {
		t.workers[i].notable.each(look)
	}
}

// Untracked is how many flows found no entry since the start.
func (t *Table) Untracked() (n uint64) {
	if t != nil {
		for i := range t.workers {
			n += t.workers[i].untracked.Load()
		}
	}
	return n
}
