package upstream

import (
	"math/rand/v2"
	"time"

	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// The salts that make independent draws of one request's random number.
const (
	saltPriority = 0x5bd1e995d1b54a32
	saltDrop     = 0x2545f4914f6cdd1d
)

// breakerAttempts is how often Pick asks the policy for another host when the
// breaker of the chosen one is open, before it looks at all of them.
const breakerAttempts = 3

// Pick chooses a host for a request or a connection. It does not block, and
// allocates nothing. Hosts that outlier detection ejected are chosen only in
// panic, hosts whose half-open breaker is open never.
func (c *Cluster) Pick(p *PickInfo) (*Host, *Error) {
	if c.original != nil {
		return c.pickOriginal(p)
	}
	s := c.set.Load()
	r := p.Rand
	if r == 0 {
		r = rand.Uint64()
	}
	if s.dropped > 0 && len(p.Tried) == 0 && float64(scramble(r^saltDrop)%10000) < s.dropped*100 {
		c.stats.RqDropOverload.Inc()
		if s.dropped >= 100 {
			return nil, ErrDroppedAll
		}
		return nil, ErrDropped
	}
	q := lbPick(r)
	if p.HasHash {
		q.Hash = p.Hash
	}
	byPriority := scramble(r ^ saltPriority)
	if s.hashes {
		byPriority = q.Hash
	}
	l, g := s.choose(byPriority)
	if g == nil || g.policy == nil {
		c.stats.CxNoneHealthy.Inc()
		return nil, c.noHealthy()
	}
	if l.panicking {
		c.stats.LBHealthyPanic.Inc()
	}
	if h := c.fromGroup(g, q, p); h != nil {
		return h, nil
	}
	c.stats.HalfOpen.Rejected.Inc()
	return nil, ErrBreakerOpen
}

// lbPick is a choice that nothing but a number decides.
func lbPick(r uint64) lb.Pick { return lb.Pick{Rand: r, Hash: r} }

// fromGroup asks the policy until the host suits: not tried, while turning down is
// allowed, and with a breaker that lets it through. It gives nil when no breaker
// does.
func (c *Cluster) fromGroup(g *group, q lb.Pick, p *PickInfo) *Host {
	guarded := c.guarded.Load()
	downs := 0
	if len(p.Tried) > 0 {
		downs = p.HostAttempts
	}
	opens := 0
	var now time.Time
	for {
		h := g.pick(q)
		q.Attempt++
		if guarded {
			b := h.breaker.Load()
			if b != nil && !b.Closed() {
				if now.IsZero() {
					now = time.Now()
				}
				if !b.Ready(now) {
					if opens++; opens > breakerAttempts {
						return g.anyReady(q.Rand, now, p.Tried)
					}
					continue
				}
			}
		}
		if downs > 0 && tried(h, p.Tried) {
			downs--
			continue
		}
		return h
	}
}

// anyReady looks at every host, beginning at a random one, for one whose breaker
// lets it through; better one that was not tried.
func (g *group) anyReady(r uint64, now time.Time, avoid []*Host) *Host {
	hosts := g.hosts
	var second *Host
	start := int(r % uint64(len(hosts)))
	for k := range hosts {
		h := hosts[(start+k)%len(hosts)]
		if b := h.breaker.Load(); b != nil && !b.Ready(now) {
			continue
		}
		if !tried(h, avoid) {
			return h
		}
		second = h
	}
	return second
}

func tried(h *Host, list []*Host) bool {
	for _, t := range list {
		if t == h {
			return true
		}
	}
	return false
}

func (g *group) pick(q lb.Pick) *Host {
	if g.parts != nil {
		g = g.parts[g.policy.Pick(q)]
	}
	return g.hosts[g.policy.Pick(q)]
}

// choose picks the priority: the levels' loads lie one after the other on 1–100,
// all healthy ones before all degraded ones (Envoy: choosePriority).
func (s *set) choose(hash uint64) (*level, *group) {
	at, sum := uint32(hash%100)+1, uint32(0)
	for i := range s.levels {
		l := &s.levels[i]
		if sum += l.healthy; at <= sum {
			if l.panicking {
				return l, l.all
			}
			return l, l.ok
		}
	}
	for i := range s.levels {
		l := &s.levels[i]
		if sum += l.degraded; at <= sum {
			if l.panicking {
				return l, l.all
			}
			return l, l.deg
		}
	}
	return nil, nil
}

func (c *Cluster) noHealthy() *Error {
	if c.unresolved.Load() {
		return ErrUnresolved
	}
	return ErrNoHealthy
}

// scramble spreads the bits of x (SplitMix64's finalizer).
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
