package upstream

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A queue is the requests that wait for a connection of one priority, because
// max_connections are open. First come, first served — except that a connection
// that becomes idle goes to somebody who wants its host, if there is one.
type queue struct {
	n atomic.Int64 // how many wait; read without the lock

	mu          sync.Mutex
	first, last *waiter // guarded by mu
}

// waiter is one that waits.
type waiter struct {
	host *Host
	key  poolKey
	wake chan struct{} // closed when served

	// guarded by the queue's mu until wake is closed
	conn       *Attempt // … with a connection
	slot       bool     // … with the right to make one
	passed     int      // how often somebody behind was served instead
	next, prev *waiter
	queued     bool
}

// patience is how often a waiter is passed over for somebody who fits an idle
// connection better, before that connection is closed to make room for it.
const patience = 8

func (q *queue) add(w *waiter) {
	w.prev, w.queued = q.last, true
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.n.Add(1)
}

func (q *queue) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.next, w.prev, w.queued = nil, nil, false
	q.n.Add(-1)
}

// takeSlot takes the right to open one connection to a host.
func (c *Cluster) takeSlot(h *Host, l *limits) bool {
	if !h.connections.take(c.cfg.Load().PerHostMaxConnections) {
		return false
	}
	if l.connections.take() {
		return true
	}
	h.connections.give()
	return false
}

// giveSlot gives that right back, and to the next who waits.
func (c *Cluster) giveSlot(h *Host, high bool) {
	h.connections.give()
	c.limits(high).connections.give()
	c.pump(high)
}

// pump serves those who wait, as far as connections and slots go. Whoever makes
// either available calls it afterwards; whoever begins to wait calls it once it
// is in the queue: so one of the two sees the other.
func (c *Cluster) pump(high bool) {
	l := c.limits(high)
	q := &l.waiters
	if q.n.Load() == 0 {
		return
	}
	q.mu.Lock()
	for c.serveFitting(q) {
	}
	victim := c.serveSlots(q, l, high)
	q.mu.Unlock()
	if victim != nil {
		victim.destroy(endLocal) // its slot comes back through giveSlot, which pumps again
	}
}

// serveSlots gives the right to open connections, as far as the limits go. When
// they are reached while idle connections lead elsewhere, it takes one of those
// out, to make room.
func (c *Cluster) serveSlots(q *queue, l *limits, high bool) (victim *Attempt) {
	for w := q.first; w != nil; {
		next := w.next
		switch {
		case c.takeSlot(w.host, l):
			w.slot = true
			q.serve(w)
		case l.connections.full():
			return c.victim(high)
		default: // per_host_thresholds: only a connection to that host makes room
			if v := w.host.idle.oldest(high); v != nil {
				return v
			}
		}
		w = next
	}
	return nil
}

// serveFitting gives an idle connection to the first who wants its host, unless
// the head of the queue has been passed over too often.
func (c *Cluster) serveFitting(q *queue) bool {
	for w := q.first; w != nil; w = w.next {
		a := w.host.idle.pop(&w.key)
		if a != nil {
			for p := q.first; p != w; p = p.next {
				p.passed++
			}
			w.conn = a
			q.serve(w)
			return true
		}
		if w == q.first && w.passed >= patience {
			return false
		}
	}
	return false
}

func (q *queue) serve(w *waiter) {
	q.remove(w)
	close(w.wake)
}

// victim takes an idle connection of the priority out of some host's pool.
func (c *Cluster) victim(high bool) *Attempt {
	var out *Attempt
	c.eachHost(func(h *Host) bool {
		out = h.idle.oldest(high)
		return out == nil
	})
	return out
}

// wait queues for a connection to h: it gives one, or nil and true when the
// caller may open one, or what ended the wait: the context's cause or
// os.ErrDeadlineExceeded.
func (c *Cluster) wait(ctx context.Context, h *Host, key poolKey, deadline time.Time) (*Attempt, bool, error) {
	q := &c.limits(key.high).waiters
	w := &waiter{host: h, key: key, wake: make(chan struct{})}
	q.mu.Lock()
	q.add(w)
	q.mu.Unlock()
	c.pump(key.high)

	var late <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	var err error
	select {
	case <-w.wake:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-late:
		err = os.ErrDeadlineExceeded
	}
	q.mu.Lock()
	if w.queued {
		q.remove(w)
	}
	q.mu.Unlock()
	if err == nil || w.conn == nil && !w.slot {
		return w.conn, w.slot, err
	}
	// Served in the very moment the wait ended: pass it on.
	if w.slot {
		c.giveSlot(h, key.high)
	} else if !h.idle.push(w.conn, time.Now()) {
		w.conn.destroy(endLocal)
	} else {
		c.pump(key.high)
	}
	return nil, false, err
}
