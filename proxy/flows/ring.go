package flows

import (
	"sync"
	"sync/atomic"
)

// The entries of a worker: chunks of them, as many as the latest flows may have, and more only while so many are live.
const (
	chunkSize    = 64
	recentChunks = 8  // 512 flows
	maxChunks    = 64 // 4,096 that are live
	maxProbes    = 16 // live ones that are passed over before there are more
)

// A worker has the entries of the flows of one event loop.
type worker struct {
	t         *Table // set in New, never changed
	next      atomic.Uint64
	ended     atomic.Uint64 // numbers those that ended
	untracked atomic.Uint64 // flows that found no entry
	grow      sync.Mutex    // one at a time
	count     atomic.Int32
	chunks    [maxChunks]atomic.Pointer[chunk]
	notable   ring
	_         [64]byte // the next worker is another core's
}

type chunk [chunkSize]Entry

// take gives an entry that is not live, locked; nil when there is none.
func (w *worker) take() *Entry {
	for range maxProbes {
		n := int(w.count.Load())
		if n == 0 {
			break
		}
		at := int(w.next.Add(1) % uint64(n*chunkSize))
		e := &w.chunks[at/chunkSize].Load()[at%chunkSize]
		if !e.mu.TryLock() {
			continue // it is being read
		}
		switch {
		case e.state == live:
		case e.state == ended && n < recentChunks:
			e.mu.Unlock()
			return w.more(recentChunks)
		default:
			return e
		}
		e.mu.Unlock()
	}
	return w.more(maxChunks)
}

// more makes a chunk, if there are fewer than limit, and gives its first entry, locked.
func (w *worker) more(limit int) *Entry {
	w.grow.Lock()
	defer w.grow.Unlock()
	n := int(w.count.Load())
	if n >= limit {
		w.untracked.Add(1)
		return nil
	}
	c := new(chunk)
	for i := range c {
		c[i].w = w
	}
	c[0].mu.Lock()
	w.chunks[n].Store(c)
	w.count.Store(int32(n + 1))
	w.next.Store(uint64(n * chunkSize))
	return &c[0]
}

// each calls f for every entry in use, locked.
func (w *worker) each(f func(*Entry)) {
	for i := range w.count.Load() {
		c := w.chunks[i].Load()
		for j := range c {
			e := &c[j]
			e.mu.Lock()
			if e.state != unused {
				f(e)
			}
			e.mu.Unlock()
		}
	}
}

// A ring keeps copies of records, the latest size of them; its memory is made when the first comes.
type ring struct {
	size  int // set when it is made, never changed
	next  atomic.Uint64
	make  sync.Once
	slots atomic.Pointer[[]Entry]
}

// put copies a record whose entry is locked, unless its place is being read.
func (r *ring) put(from *record) {
	r.make.Do(func() {
		s := make([]Entry, r.size)
		r.slots.Store(&s)
	})
	o := &(*r.slots.Load())[r.next.Add(1)%uint64(r.size)]
	if !o.mu.TryLock() {
		return
	}
	own := o.tries
	o.record = *from
	if o.tries = own; from.tried > 0 {
		if own == nil {
			o.tries = new(tries)
		}
		*o.tries = *from.tries
	}
	o.mu.Unlock()
}

// each calls f for every record, locked, the newest first.
func (r *ring) each(f func(*Entry)) {
	p := r.slots.Load()
	if p == nil {
		return
	}
	next := r.next.Load()
	for i := range uint64(r.size) {
		e := &(*p)[(next-i)%uint64(r.size)]
		e.mu.Lock()
		if e.state != unused {
			f(e)
		}
		e.mu.Unlock()
	}
}
