// Package speakers remembers which servers speak first, by their addresses, so
// that the clients of such a server need not be waited for before it is
// connected to.
//
// What is remembered is bounded in number and in time, can be looked at and can be
// forgotten. It decides nothing but when a destination is connected to:
// a client that speaks first after all is heard.
package speakers

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a Table.
const (
	// DefaultSize is how many servers are remembered: more than most networks have of those that speak first.
	DefaultSize = 4096
	// DefaultTTL is how long one is that nobody connected to since.
	DefaultTTL = 24 * time.Hour

	// tolerance is how many clients in a row may speak first before a server is forgotten: some protocols leave it open
	// who does (SSH), and an address may be given to another server.
	tolerance = 3
)

// A Table remembers servers. It is safe for concurrent use; the nil Table
// remembers none.
type Table struct {
	// set in New, never changed
	size int
	ttl  time.Duration

	n atomic.Int64 // len(by), so that asking an empty Table costs one load

	mu   sync.Mutex
	by   map[netip.AddrPort]*list.Element // guarded by mu; of *Entry
	used list.List                        // guarded by mu; the latest first
}

// An Entry is a server that speaks first.
type Entry struct {
	Address  netip.AddrPort `json:"address"`
	Protocol string         `json:"protocol,omitempty"` // what its first bytes looked like; "" unknown
	Learned  time.Time      `json:"learned"`            // when it spoke first for the first time
	Seen     time.Time      `json:"seen"`               // … for the last time
	Times    uint64         `json:"times"`              // how often it did
	Clients  uint64         `json:"clients"`            // how often its client did since it was learned

	inRow int // of Clients, the latest without the server in between
}

// New makes a Table of at most size servers, of which each is forgotten a ttl after it was last seen to speak first.
func New(size int, ttl time.Duration) *Table {
	t := &Table{size: max(size, 1), ttl: ttl, by: map[netip.AddrPort]*list.Element{}}
	t.used.Init()
	return t
}

// key is the address by which a server is known.
func key(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// SpeaksFirst tells whether the server at an address is known to.
func (t *Table) SpeaksFirst(a netip.AddrPort, now time.Time) bool {
	if t == nil || t.n.Load() == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.by[key(a)]
	if e == nil {
		return false
	}
	if now.Sub(e.Value.(*Entry).Seen) > t.ttl {
		t.remove(e)
		return false
	}
	t.used.MoveToFront(e)
	return true
}

// Server records that the server at an address spoke first, in a protocol that may be "".
func (t *Table) Server(a netip.AddrPort, protocol string, now time.Time) {
	if t == nil || !a.IsValid() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.by[key(a)]
	if e == nil {
		e = t.used.PushFront(&Entry{Address: key(a), Learned: now})
		t.by[key(a)] = e
		for len(t.by) > t.size {
			t.remove(t.used.Back())
		}
		t.n.Store(int64(len(t.by)))
	}
	t.used.MoveToFront(e)
	v := e.Value.(*Entry)
	v.Seen, v.inRow = now, 0
	v.Times++
	if protocol != "" {
		v.Protocol = protocol
	}
}

// Client records that a client of the server spoke first. After a few in a row the server is forgotten.
func (t *Table) Client(a netip.AddrPort) {
	if t == nil || t.n.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.by[key(a)]
	if e == nil {
		return
	}
	v := e.Value.(*Entry)
	v.Clients++
	if v.inRow++; v.inRow >= tolerance {
		t.remove(e)
	}
}

// Forget forgets one server; it tells whether it was known.
func (t *Table) Forget(a netip.AddrPort) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.by[key(a)]
	if e != nil {
		t.remove(e)
	}
	return e != nil
}

// ForgetAll forgets every server; it tells how many were known.
func (t *Table) ForgetAll() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.by)
	clear(t.by)
	t.used.Init()
	t.n.Store(0)
	return n
}

// List gives the servers that are known, the latest asked for first.
func (t *Table) List(now time.Time) []Entry {
	out := []Entry{}
	if t == nil {
		return out
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.used.Front(); e != nil; e = e.Next() {
		if v := e.Value.(*Entry); now.Sub(v.Seen) <= t.ttl {
			out = append(out, *v)
		}
	}
	return out
}

// remove forgets a server; t.mu is held.
func (t *Table) remove(e *list.Element) {
	delete(t.by, e.Value.(*Entry).Address)
	t.used.Remove(e)
	t.n.Store(int64(len(t.by)))
}
