package upstream

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
)

// A limit is one circuit breaker threshold: exact, and for the whole process.
type limit struct {
	n         atomic.Int64
	max       atomic.Int64
	open      *stats.Gauge                // 1 while n ≥ max
	remaining atomic.Pointer[stats.Gauge] // nil unless track_remaining
	err       atomic.Pointer[Error]       // made when first needed: overload allocates nothing
	what      string                      // Envoy's name of the threshold; set in init
	cluster   string

	mu sync.Mutex // orders the writers of open, not of n
}

// take counts one more unless that would be above the limit.
func (l *limit) take() bool {
	for {
		n, top := l.n.Load(), l.max.Load()
		if n >= top {
			return false
		}
		if l.n.CompareAndSwap(n, n+1) {
			l.changed(n+1 == top, -1)
			return true
		}
	}
}

// give counts one less.
func (l *limit) give() {
	n := l.n.Add(-1)
	l.changed(n+1 >= l.max.Load(), 1)
}

// full tells whether the limit is reached.
func (l *limit) full() bool { return l.n.Load() >= l.max.Load() }

func (l *limit) changed(atEdge bool, left int64) {
	if g := l.remaining.Load(); g != nil {
		g.Add(left)
	}
	if atEdge {
		l.show()
	}
}

// show brings the gauge in line with the count. Every crossing of the edge calls
// it after the fact, so the last call sees the final state.
func (l *limit) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := int64(0)
	if l.n.Load() >= l.max.Load() {
		v = 1
	}
	l.open.Set(v)
}

// set changes the threshold; what is taken stays taken.
func (l *limit) set(top uint32, remaining *stats.Gauge) {
	l.max.Store(int64(top))
	l.err.Store(nil)
	l.remaining.Store(remaining)
	if remaining != nil {
		remaining.Set(int64(top) - l.n.Load())
	}
	l.show()
}

// error is what a request is told that the limit stops.
func (l *limit) error() *Error {
	if e := l.err.Load(); e != nil {
		return e
	}
	e := &Error{
		Op: l.what, Flag: info.UpstreamOverflow, Details: DetailsOverflow,
		Err: fmt.Errorf("cluster %q: %s %d: %w", l.cluster, l.what, l.max.Load(), errLimit),
	}
	l.err.Store(e)
	return e
}

// limits are the thresholds of one priority, and who waits for a connection.
type limits struct {
	connections, pending, requests, retries limit
	budget                                  atomic.Pointer[budget]
	waiters                                 queue
}

func (l *limits) init(cluster string, b *Breakers) {
	for _, x := range [...]struct {
		l    *limit
		what string
		open *stats.Gauge
	}{
		{&l.connections, "max_connections", b.CxOpen},
		{&l.pending, "max_pending_requests", b.RqPendingOpen},
		{&l.requests, "max_requests", b.RqOpen},
		{&l.retries, "max_retries", b.RqRetryOpen},
	} {
		x.l.what, x.l.cluster, x.l.open = x.what, cluster, x.open
	}
}

func (l *limits) set(t *cluster.Thresholds, r *Remaining) {
	if r == nil {
		r = &Remaining{}
	}
	l.connections.set(t.MaxConnections, r.Cx)
	l.pending.set(t.MaxPending, r.RqPending)
	l.requests.set(t.MaxRequests, r.Rq)
	l.retries.set(t.MaxRetries, r.RqRetries)
	l.budget.Store(newBudget(t))
}

func (c *Cluster) limits(high bool) *limits {
	if high {
		return &c.high
	}
	return &c.normal
}

// TakeRequest counts a request against max_requests; GiveRequest must follow
// unless it gives an error.
func (c *Cluster) TakeRequest(high bool) *Error {
	l := c.limits(high)
	if l.requests.take() {
		if b := l.budget.Load(); b != nil && b.recent != nil {
			b.recent.add(time.Now())
		}
		return nil
	}
	c.stats.RqPendingOverflow.Inc()
	return l.requests.error()
}

// GiveRequest takes back what TakeRequest counted.
func (c *Cluster) GiveRequest(high bool) { c.limits(high).requests.give() }

// TakeRetry counts a retry against max_retries, or against the retry budget where
// there is one; GiveRetry must follow when it gives true.
func (c *Cluster) TakeRetry(high bool) bool {
	l := c.limits(high)
	if b := l.budget.Load(); b != nil {
		l.retries.max.Store(b.retries(l.requests.n.Load() + l.pending.n.Load()))
	}
	if l.retries.take() {
		return true
	}
	c.stats.RqRetryOverflow.Inc()
	return false
}

// GiveRetry takes back what TakeRetry counted.
func (c *Cluster) GiveRetry(high bool) { c.limits(high).retries.give() }
