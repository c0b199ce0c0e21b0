package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/weirproxy/weir/proxy/upstream/dns"
)

// parallelLookups bounds how many names are looked up at once.
const parallelLookups = 16

// lookups are the DNS questions under way: with health checks the only goroutines
// beside Run's, and short-lived.
type lookups struct {
	resolver Resolver
	slots    chan struct{}
	wg       sync.WaitGroup
	ctx      context.Context // Run's; set before the first task runs

	mu       sync.Mutex
	answered chan struct{} // closed and replaced with every answer; guarded by mu
}

func (l *lookups) init(o Options) {
	l.slots, l.answered = make(chan struct{}, parallelLookups), make(chan struct{})
	l.resolver = o.Resolver
	if l.resolver == nil {
		l.resolver = dns.New(dns.System, o.OwnMark)
	}
}

// try runs f on a goroutine of its own, unless too many are running.
func (l *lookups) try(f func(ctx context.Context)) bool {
	select {
	case l.slots <- struct{}{}:
	default:
		return false
	}
	l.wg.Go(func() {
		defer func() { <-l.slots }()
		f(l.ctx)
		l.tell()
	})
	return true
}

// tell wakes those that wait for an answer, or for a host's first health check.
func (l *lookups) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.answered)
	l.answered = make(chan struct{})
}

func (l *lookups) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered
}

// Resolved waits until every name of every cluster has had its first answer, good
// or bad, and every host that is checked its first check; Run must be running. It is what a start waits for, so that the first
// requests do not find empty clusters.
func (m *Manager) Resolved(ctx context.Context) error {
	for {
		ch := m.lookups.next()
		waiting := false
		for _, c := range *m.clusters.Load() {
			waiting = waiting || c.resolving()
		}
		if !waiting {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// retryLookup is when a lookup is tried that found all slots taken.
const retryLookup = 50 * time.Millisecond
