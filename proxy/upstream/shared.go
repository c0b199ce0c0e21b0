package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// A shared connection carries many requests at once (HTTP/2).
type shared struct {
	// set before it is in the pool, never changed
	host   *Host
	key    poolKey
	conn   *h2.ClientConn
	link   *link
	gen    [2]uint32
	opened time.Time

	requests atomic.Uint64
	retired  atomic.Bool  // takes no more requests
	quiet    atomic.Int64 // since when no request is under way, in Unix nanoseconds; 0: some is

	closed bool // guarded by the pool's mu
}

// sharedPool has the shared connections to one host. Its lock is never held while
// a connection is called, since connections call back.
type sharedPool struct {
	conns   atomic.Pointer[[]*shared] // replaced under mu
	waiting atomic.Bool               // changed is not nil

	mu      sync.Mutex
	dialing map[poolKey]*dialing // guarded by mu, like all below
	changed chan struct{}        // closed when those that wait for room should look again; nil while nobody does
}

// dialing is a connection that is being opened; who waits for it shares its fate.
type dialing struct {
	done    chan struct{}
	failure Failure
	err     *Error // set before done is closed
}

func (p *sharedPool) all() []*shared {
	if l := p.conns.Load(); l != nil {
		return *l
	}
	return nil
}

// wake lets all that wait for room look again.
func (p *sharedPool) wake() {
	if !p.waiting.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeLocked()
}

func (p *sharedPool) wakeLocked() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
		p.waiting.Store(false)
	}
}

// await gives what is closed when it is worth to look again. p.mu is held; the
// caller looks once more after that, before it waits.
func (p *sharedPool) await() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
		p.waiting.Store(true)
	}
	return p.changed
}

// take opens a stream on a connection that can carry one more: on the loop that
// the key wants; on another only when that one's connections are full.
func (p *sharedPool) take(key *poolKey) (*shared, *h2.ClientStream) {
	own := false
	for _, s := range p.all() {
		if s.key.equal(key) && s.usable() {
			own = true
			if st, err := s.conn.Open(); err == nil {
				return s, st
			}
		}
	}
	if !own {
		return nil, nil
	}
	for _, s := range p.all() {
		k := s.key
		k.loop = key.loop
		if k == *key && s.key != *key && s.usable() {
			if st, err := s.conn.Open(); err == nil {
				return s, st
			}
		}
	}
	return nil, nil
}

// usable tells whether the connection takes requests still; one of a time before
// something that ends connections retires.
func (s *shared) usable() bool {
	if s.retired.Load() {
		return false
	}
	if s.gen != s.host.generation() || s.key.namespace.Left() {
		s.retire()
		return false
	}
	return true
}

// retire lets the connection end when its streams have.
func (s *shared) retire() {
	if !s.retired.Swap(true) {
		s.conn.Drain()
	}
}

// attempt makes the use of a stream for one request.
func (s *shared) attempt(st *h2.ClientStream, t breaker.Token) *Attempt {
	n := s.requests.Add(1)
	s.quiet.Store(0)
	c := s.host.cluster
	if top := c.cfg.Load().HTTP.MaxRequestsPerConn; top > 0 && n >= uint64(top) {
		c.stats.CxMaxRequests.Inc()
		s.retire()
	}
	a, ok := st.User.(*Attempt) // it is used over and over with its stream
	if !ok {
		a = &Attempt{
			Exchange: st, Host: s.host, Protocol: info.HTTP2,
			stream: st, shared: s, link: s.link, sock: s.link.sock, key: s.key,
		}
		st.User = a
	}
	a.begin(t)
	a.Reused = n > 1
	return a
}

// leave ends the use of a stream. The stream is reset if it is not over.
func (a *Attempt) leave(now time.Time) {
	s := a.shared
	a.finish()
	if a.stream.Release() { // a may serve another request from here on
		s.quiet.CompareAndSwap(0, now.UnixNano())
	}
}

// onCapacity, onGoAway and onClose are what the connection tells (h2.ClientEvents).
func (s *shared) onCapacity() { s.host.shared.wake() }

// onGoAway: the server takes no more requests here.
func (s *shared) onGoAway() {
	s.retired.Store(true)
	s.host.shared.wake()
}

func (s *shared) onClose(err error) {
	p := &s.host.shared
	s.retired.Store(true)
	p.mu.Lock()
	s.closed = true
	l := slices.DeleteFunc(slices.Clone(p.all()), func(o *shared) bool { return o == s })
	p.conns.Store(&l)
	p.wakeLocked()
	p.mu.Unlock()
	by := endRemote
	if err == nil || err == h2.ErrDrained {
		by = endLocal
	}
	s.host.cluster.closed(s.host, s.key.high, by, s.opened)
	s.host.cluster.stats.RqPerCx.Record(s.requests.Load())
}

// drain retires all connections.
func (p *sharedPool) drain() {
	for _, s := range p.all() {
		s.retire()
	}
}

// sweep retires connections that have been idle, or have lived, too long.
func (p *sharedPool) sweep(now time.Time, idle, life time.Duration, st *Stats) {
	for _, s := range p.all() {
		quiet := s.quiet.Load()
		switch {
		case s.retired.Load():
		case s.key.namespace.Left():
			s.retire()
		case idle > 0 && quiet != 0 && now.UnixNano()-quiet >= int64(idle):
			st.CxIdleTimeout.Inc()
			s.retire()
		case life > 0 && now.Sub(s.opened) >= life:
			st.CxMaxDuration.Inc()
			s.retire()
		}
	}
}
