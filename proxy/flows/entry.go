package flows

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"github.com/weirproxy/weir/proxy/info"
)

// The bounds of texts, in bytes: longer ones are cut, and the flow says so. A request's texts that are together longer than room lose
// the last of them.
const (
	room      = 512
	maxMethod = 24
	maxName   = 128
	maxPath   = 256
	maxALPN   = 64
	maxID     = 40
	maxField  = 64
)

// The texts of an entry, in the order in which they are put.
const (
	serverName = iota
	alpn
	method
	authority
	path
	requestID
	scope
	fields
	texts = fields + 4
)

// The states of an entry.
const (
	unused = iota
	live
	ended
)

// The kinds of flows.
const (
	request = iota
	connection
)

// An Entry is the place of one flow in its table. Its methods are called by who serves the flow; those of a nil Entry do nothing.
type Entry struct {
	w  *worker // set when it is made, never changed
	mu sync.Mutex
	record
}

// record is what an entry says; guarded by mu.
type record struct {
	facts
	tries *tries // kept from flow to flow, used where facts.tried is not 0

	at   int // the end of the texts
	ends [texts]uint16
	text [room]byte
}

// facts are what each flow begins anew.
type facts struct {
	state, kind            uint8
	protocol               info.Protocol
	tls, cut, sampled, ech bool
	reused                 bool
	code, attempts, tried  int

	conn, number, seq, version, rand uint64

	start              time.Time
	source, dest, host netip.AddrPort
	listener, chain    string
	transport          info.Transport
	tlsVersion, agreed string
	note, ja3, ja4     string
	name               info.NameVerdict // of a connection or a request, at its end
	first, speaks      string           // who spoke first, and what the server's bytes looked like

	route, virtualHost, cluster string
	details, failure            string
	flags                       info.Flags
	received, sent              uint64

	// Since start; 0 when it never came.
	requestDone, firstByte, upstreamDone, end time.Duration
}

// maxTries is how many tries of a request are told of, the last included.
const maxTries = 4

type tries [maxTries]Try

// A Try is a try that brought nothing that was delivered.
type Try struct {
	Host  netip.AddrPort `json:"host,omitzero"`
	After float64        `json:"after_ms"`       // since the start of the flow, when it was over
	Code  int            `json:"code,omitempty"` // of the response that was thrown away
	Why   string         `json:"why"`
}

// of begins a flow of a connection; the entry is locked.
func (e *Entry) of(c *info.Conn, start time.Time) {
	e.facts = facts{
		state: e.state, conn: c.ID, start: start, source: c.Source, dest: c.Dest, listener: c.Listener, chain: c.FilterChain,
		transport: c.Transport, tlsVersion: c.TLSVersion, agreed: c.NegotiatedALPN, note: c.SniffNote, ja3: c.JA3, ja4: c.JA4, ech: c.ECH,
		first: c.FirstSpeaker, speaks: c.ServerProtocol,
	}
	e.at, e.ends = 0, [texts]uint16{}
	e.put(serverName, c.ServerName, maxName)
	for i, p := range c.ALPN {
		if i > 0 {
			e.append(alpn, []byte{','}, maxALPN)
		}
		e.append(alpn, p, maxALPN)
	}
}

// put sets a text; it comes after those that were put.
func (r *record) put(which int, p []byte, limit int) { r.append(which, p, limit) }

// append adds to a text, which is the last that was begun.
func (r *record) append(which int, p []byte, limit int) {
	if len(p) == 0 {
		return
	}
	if len(r.get(which)) == 0 {
		for i := which; i > 0 && r.ends[i-1] == 0; i-- {
			r.ends[i-1] = uint16(r.at)
		}
	}
	n := copy(r.text[r.at:], p[:min(len(p), limit-len(r.get(which)))])
	r.cut = r.cut || n < len(p) && which < fields
	r.at += n
	r.ends[which] = uint16(r.at)
}

// get gives a text.
func (r *record) get(which int) []byte {
	from := 0
	if which > 0 {
		from = int(r.ends[which-1])
	}
	if int(r.ends[which]) < from {
		return nil
	}
	return r.text[from:r.ends[which]]
}

// putPath sets the path as the detail has it: of queries the names.
func (r *record) putPath(p []byte, d Detail) {
	at := bytes.IndexByte(p, '?')
	switch {
	case d == Hosts:
		return
	case d == Full || at < 0:
		r.put(path, p, maxPath)
		return
	}
	r.append(path, p[:at+1], maxPath)
	for rest := p[at+1:]; len(rest) > 0; {
		part, after, more := bytes.Cut(rest, []byte{'&'})
		name, _, has := bytes.Cut(part, []byte{'='})
		r.append(path, name, maxPath)
		if has {
			r.append(path, []byte(hidden), maxPath)
		}
		if more {
			r.append(path, []byte{'&'}, maxPath)
		}
		rest = after
	}
}

// hidden stands for the value of a name in a query.
const hidden = "=*"

// To says where a request goes, before it is connected.
func (e *Entry) To(i *info.Stream, host netip.AddrPort) {
	if e == nil {
		return
	}
	e.mu.Lock()
	e.route, e.virtualHost, e.cluster, e.host, e.attempts = i.Route, i.VirtualHost, i.Cluster, host, i.Attempts
	e.mu.Unlock()
}

// Try says what a try came to that was not the last, or brought no response.
func (e *Entry) Try(host netip.AddrPort, code int, why string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tries == nil {
		e.tries = new(tries)
	}
	e.tries[min(e.tried, maxTries-1)] = Try{Host: host, After: ms(time.Since(e.start)), Code: code, Why: why}
	e.tried++
}

// End says how a request ended; the entry is no longer the caller's.
func (e *Entry) End(i *info.Stream) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.route, e.virtualHost, e.cluster, e.host = i.Route, i.VirtualHost, i.Cluster, i.UpstreamHost
	e.protocol, e.reused, e.attempts, e.code = i.Protocol, i.Reused, i.Attempts, i.Code
	e.flags, e.details, e.failure = i.Flags, i.Details, i.UpstreamFailure
	e.received, e.sent, e.name = i.BytesReceived, i.BytesSent, i.NameCheck
	e.requestDone, e.firstByte = e.since(i.RequestDone), e.since(i.UpstreamFirstByte)
	e.upstreamDone, e.end = e.since(i.UpstreamDone), e.since(i.End)
	e.over()
}

func (e *Entry) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(e.start)
}

// over ends the flow; the entry is locked.
func (e *Entry) over() {
	e.state = ended
	e.seq = e.w.ended.Add(1)
	if e.isNotable() {
		e.w.notable.put(&e.record)
	}
}

// isNotable tells whether somebody will want to know of the flow when ordinary ones are forgotten.
func (r *record) isNotable() bool {
	const ordinary = info.DownstreamConnectionTermination | info.DownstreamRemoteReset
	return r.code >= 500 || r.flags&^ordinary != 0 || r.attempts > 1 || r.failure != "" || r.details == "panic" || r.details == Killed
}

// Abandon ends a request whose goroutine panicked.
func (e *Entry) Abandon() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.panicked()
}

func (e *Entry) panicked() {
	e.details, e.end = "panic", time.Since(e.start)
	e.over()
}

// Killed is the detail of a flow that an operator ended.
const Killed = "killed_by_operator"
