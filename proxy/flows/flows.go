// Package flows keeps what passes through at this moment and what passed a moment ago: requests and connections, for people who look.
//
//  1. A request takes an entry when its head is canonical ([Table.Begin]), notes in it where it goes ([Entry.To]), what tries came to
//     ([Entry.Try]) and how it ended ([Entry.End]). A connection leaves one when it ends ([Table.Connection]); connections that go on
//     are read where they are, from the listeners.
//  2. Every worker has entries of its own, in chunks that are made as they are needed and used again in turn; an entry that is live is
//     passed over. A lock belongs to one entry: who writes meets nobody there but a reader that copies it.
//  3. What failed, or took more than one try, is copied to a ring of its own, where ordinary traffic does not push it out; a sample of
//     requests is kept with more of their head, for dry runs.
//  4. Readers copy ([Table.Each]) and follow ([Follower]); nothing is done for them by who writes.
//
// What may be secret is not kept: of a query only the names, unless the [Detail] says otherwise, and of header fields only the few that
// say what kind of request it is.
package flows

import (
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// Detail is how much of a request is kept.
type Detail uint8

// The details.
const (
	Paths Detail = iota // paths, and the names in queries
	Hosts               // no paths
	Full                // paths and queries; they are still shown only to who asks for them
	Off                 // nothing is kept at all
)

// ParseDetail gives the detail of a name; "" is Paths.
func ParseDetail(s string) (Detail, bool) {
	switch s {
	case "hosts":
		return Hosts, true
	case "paths", "":
		return Paths, true
	case "full":
		return Full, true
	case "off":
		return Off, true
	}
	return 0, false
}

// Every is the shortest time between two flows of the sample.
const Every = 5 * time.Millisecond

// The bounds of the rings.
const (
	samples  = 512 // of a table
	notables = 128 // of a worker
)

// A Table has the flows of a process. Its methods may be called from any goroutine; those of a nil Table do nothing.
type Table struct {
	// set in New, never changed
	detail  Detail
	kept    []header.Name
	workers []worker

	version atomic.Uint64 // of the configuration in force
	sampled atomic.Int64  // when the last one of the sample was, in nanoseconds of the epoch
	samples ring
}

// New makes a table for a number of workers; with Off it is nil.
func New(workers int, d Detail) *Table {
	if d == Off {
		return nil
	}
	t := &Table{detail: d, kept: kept(), workers: make([]worker, max(workers, 1)), samples: ring{size: samples}}
	for i := range t.workers {
		t.workers[i].t = t
		t.workers[i].notable.size = notables
	}
	return t
}

// kept are the header fields whose values are kept of the sample.
func kept() []header.Name {
	return []header.Name{
		header.Intern("content-type"), header.Intern("accept"), header.Intern("user-agent"), header.Intern("x-forwarded-proto"),
	}
}

// SetVersion says which snapshot of the configuration is in force (config.Snapshot.Version).
func (t *Table) SetVersion(v uint64) {
	if t != nil {
		t.version.Store(v)
	}
}

// Reveals tells whether queries are kept for those who ask for them.
func (t *Table) Reveals() bool { return t != nil && t.detail == Full }

// A Head is what is known of a request when its route is looked for. The bytes are copied.
type Head struct {
	Conn                    *info.Conn
	Info                    *info.Stream
	Loop                    int // the event loop of its connection
	Method, Authority, Path []byte
	Request                 *header.Headers
	TLS                     bool
	Rand                    uint64
	Scope                   func() string // gives the key of its scope of routes; asked for the sample only. nil: they are not scoped
}

// Begin takes an entry for a request; nil when there is none to be had.
func (t *Table) Begin(h *Head) *Entry {
	if t == nil {
		return nil
	}
	e := t.worker(h.Loop).take()
	if e == nil {
		return nil
	}
	e.of(h.Conn, h.Info.Start)
	e.state, e.kind = live, request
	e.number, e.protocol, e.rand, e.tls, e.version = h.Info.ID, h.Info.Protocol, h.Rand, h.TLS, t.version.Load()
	e.put(method, h.Method, maxMethod)
	e.put(authority, h.Authority, maxName)
	e.putPath(h.Path, t.detail)
	e.put(requestID, h.Request.Value(header.XRequestID), maxID)
	if t.sample(h.Info.Start) {
		e.sampled = true
		if h.Scope != nil {
			e.put(scope, []byte(h.Scope()), maxField)
		}
		for i, n := range t.kept {
			e.put(fields+i, h.Request.Value(n), maxField)
		}
		t.samples.put(&e.record)
	}
	e.mu.Unlock()
	return e
}

// Connection leaves an entry of a connection that has ended.
func (t *Table) Connection(c *info.Conn, loop int) {
	if t == nil {
		return
	}
	w := t.worker(loop)
	e := w.take()
	if e == nil {
		return
	}
	defer e.mu.Unlock()
	e.of(c, c.Start)
	e.kind, e.number, e.version = connection, c.Requests, t.version.Load()
	e.tls = c.TLSVersion != ""
	e.cluster, e.host = c.UpstreamCluster, c.UpstreamHost
	e.flags, e.details, e.failure = c.Flags, c.Details, c.TLSFailure
	e.received, e.sent, e.name = c.BytesReceived, c.BytesSent, c.NameCheck
	e.end = c.End.Sub(c.Start)
	e.over()
}

// Passed may keep a connection in the sample that is about to be passed on as it is.
func (t *Table) Passed(c *info.Conn) {
	if t == nil || !t.sample(c.Start) {
		return
	}
	var e Entry
	e.of(c, c.Start)
	e.kind, e.state, e.tls = connection, live, c.TLSVersion != ""
	t.samples.put(&e.record)
}

// Abandon ends the requests of a connection whose goroutine panicked.
func (t *Table) Abandon(conn uint64) {
	if t == nil {
		return
	}
	for i := range t.workers {
		t.workers[i].each(func(e *Entry) {
			if e.state == live && e.conn == conn {
				e.panicked()
			}
		})
	}
}

func (t *Table) worker(loop int) *worker { return &t.workers[uint(loop)%uint(len(t.workers))] }

// sample tells whether a flow that begins now is one of the sample.
func (t *Table) sample(at time.Time) bool {
	now, last := at.UnixNano(), t.sampled.Load()
	return now-last >= int64(Every) && t.sampled.CompareAndSwap(last, now)
}
