package upstream

import (
	"net/netip"
	"sync"
	"time"

	"github.com/weirproxy/weir/proxy/netio"
)

// poolKey tells connections to one host apart that must not stand in for each
// other.
type poolKey struct {
	source      netip.AddrPort
	mark        uint32
	transparent bool
	high        bool
	loop        int // where it waits: others may stand in for it
	namespace   *netio.Namespace
	sni, san    string // what its certificate was asked for, and is good for
}

func keyFor(o *OpenInfo) poolKey {
	return poolKey{o.Source, o.Mark, o.Transparent, o.High, o.Loop, o.Namespace, o.SNI, o.SAN}
}

// plain tells whether the connection has nothing special but its priority.
func (k *poolKey) plain() bool {
	return !k.transparent && k.namespace == nil && k.mark == 0 && k.sni == "" && k.san == "" && !k.source.Addr().IsValid()
}

// equal is ==, quick where it is most often asked.
func (k *poolKey) equal(o *poolKey) bool {
	if k.loop != o.loop || k.high != o.high {
		return false
	}
	return k.plain() && o.plain() || *k == *o
}

// exact tells whether the source port is the client's, so that nobody but that one
// client connection can use the connection.
func (k *poolKey) exact() bool { return k.source.Port() != 0 }

// A pool has the idle connections to one host: the one that was used last is
// taken first, so that what is not needed grows old and is closed.
type pool struct {
	mu     sync.Mutex
	normal []stack // by loop; guarded by mu, like all below
	high   []stack
	other  map[poolKey]*stack
	n      int
}

// stack is a doubly linked list, so that a connection whose server hung up can
// leave from the middle.
type stack struct{ newest, oldest *Attempt }

func (s *stack) push(a *Attempt) {
	a.older, a.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = a
	} else {
		s.oldest = a
	}
	s.newest = a
}

func (s *stack) remove(a *Attempt) {
	if a.newer != nil {
		a.newer.older = a.older
	} else {
		s.newest = a.older
	}
	if a.older != nil {
		a.older.newer = a.newer
	} else {
		s.oldest = a.newer
	}
	a.newer, a.older = nil, nil
}

// stack gives the key's stack; nil when there is none and make is false.
func (p *pool) stack(k *poolKey, make bool) *stack {
	if k.plain() {
		l := &p.normal
		if k.high {
			l = &p.high
		}
		for len(*l) <= k.loop {
			*l = append(*l, stack{})
		}
		return &(*l)[k.loop]
	}
	own := *k
	own.loop = 0
	k = &own
	s := p.other[*k]
	if s == nil && make {
		s = new(stack)
		if p.other == nil {
			p.other = map[poolKey]*stack{}
		}
		p.other[*k] = s
	}
	return s
}

// pop takes the connection that was used last; nil when there is none.
func (p *pool) pop(k *poolKey) *Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return nil
	}
	s := p.stack(k, false)
	if s == nil || s.newest == nil {
		if s = p.elsewhere(k); s == nil {
			return nil
		}
	}
	a := s.newest
	p.takeOut(s, a)
	return a
}

// elsewhere gives a stack of connections that wait on another loop than the key
// wants and are otherwise as good; nil when there are none.
func (p *pool) elsewhere(k *poolKey) *stack {
	if !k.plain() {
		return nil
	}
	l := p.normal
	if k.high {
		l = p.high
	}
	for i := range l {
		if l[i].newest != nil {
			return &l[i]
		}
	}
	return nil
}

// push makes a connection idle, unless its server has hung up meanwhile: the
// Watcher's callback takes the same lock, so that one of the two sees the other.
func (p *pool) push(a *Attempt, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.hungUp() || a.Host.removed.Load() || a.Host.cluster.removed.Load() {
		return false
	}
	a.idle, a.since = true, now
	if a.key.exact() {
		a.Host.cluster.exact.Store(true)
	}
	p.stack(&a.key, true).push(a)
	p.n++
	return true
}

func (p *pool) takeOut(s *stack, a *Attempt) {
	s.remove(a)
	a.idle = false
	p.n--
}

// remove takes a connection out if it is idle.
func (p *pool) remove(a *Attempt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.idle {
		return false
	}
	p.takeOut(p.stack(&a.key, true), a)
	return true
}

// oldest takes out the connection of a priority that has been idle longest, to
// make room for another; nil when there is none.
func (p *pool) oldest(high bool) *Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return nil
	}
	var best *Attempt
	var from *stack
	p.each(func(s *stack) {
		if a := s.oldest; a != nil && a.key.high == high && (best == nil || a.since.Before(best.since)) {
			best, from = a, s
		}
	})
	if best != nil {
		p.takeOut(from, best)
	}
	return best
}

func (p *pool) each(f func(*stack)) {
	for i := range p.normal {
		f(&p.normal[i])
	}
	for i := range p.high {
		f(&p.high[i])
	}
	for _, s := range p.other {
		f(s)
	}
}

// drain closes everything that is idle.
func (p *pool) drain() {
	for _, a := range p.collect(func(*Attempt) bool { return true }) {
		a.destroy(endLocal)
	}
}

// collect takes out, oldest first, what old says; it stops at the first that is
// not, in each stack.
func (p *pool) collect(old func(*Attempt) bool) []*Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*Attempt
	p.each(func(s *stack) {
		for a := s.oldest; a != nil && old(a); a = s.oldest {
			p.takeOut(s, a)
			out = append(out, a)
		}
	})
	for k, s := range p.other {
		if s.newest == nil {
			delete(p.other, k)
		}
	}
	return out
}

// pick takes out what old says wherever it stands.
func (p *pool) pick(old func(*Attempt) bool) []*Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*Attempt
	p.each(func(s *stack) {
		for a := s.oldest; a != nil; {
			next := a.newer
			if old(a) {
				p.takeOut(s, a)
				out = append(out, a)
			}
			a = next
		}
	})
	return out
}

// size is the number of idle connections.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}
