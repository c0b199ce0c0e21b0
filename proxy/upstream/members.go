package upstream

import (
	"net/netip"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// member is one host an assignment asks for.
type member struct {
	key  string
	addr netip.AddrPort
	pipe string
	spec spec
}

// assign takes an assignment in force: hosts that stay keep everything, new ones
// join, the others leave.
func (c *Cluster) assign(a *cluster.Assignment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.assignment = a
	c.plan.overprovisioning, c.plan.dropped = 140, 0
	if a != nil {
		if a.Overprovisioning > 0 {
			c.plan.overprovisioning = a.Overprovisioning
		}
		c.plan.dropped = a.DropPercent
	}
	if named(c.cfg.Load()) {
		c.retarget(a, time.Now())
		c.replaceNamed()
		return
	}
	c.replace(listed(a))
}

// listed gives the members whose addresses are in the assignment. An address that
// comes twice counts once, as in Envoy.
func listed(a *cluster.Assignment) []member {
	if a == nil {
		return nil
	}
	var out []member
	for i := range a.Localities {
		l := &a.Localities[i]
		for j := range l.Endpoints {
			e := &l.Endpoints[j]
			m := member{addr: e.Addr, pipe: e.Pipe, spec: specOf(e, l)}
			switch {
			case e.Pipe != "":
				m.key = e.Pipe
			case e.Addr.IsValid():
				m.key = e.Addr.String()
			default:
				continue // a name: the cluster is of a DNS type, or its decoder refused it
			}
			out = append(out, m)
		}
	}
	return out
}

// maxPriority is the last priority there can be (Envoy: LocalityLbEndpoints.priority).
const maxPriority = 128

func specOf(e *cluster.Endpoint, l *cluster.Locality) spec {
	host := e.Hostname
	if host == "" {
		host = e.Name
	}
	return spec{hostname: host, weight: max(e.Weight, 1), health: e.Health, priority: min(l.Priority, maxPriority), locality: l, labels: e.Labels, check: e.Check}
}

// replace makes the members the cluster's hosts. c.mu is held.
func (c *Cluster) replace(ms []member) {
	now := time.Now()
	seen := make(map[string]bool, len(ms))
	order := make([]*Host, 0, len(ms))
	changed := false
	for i := range ms {
		m := &ms[i]
		if seen[m.key] {
			continue
		}
		seen[m.key] = true
		h := c.byKey[m.key]
		if h == nil {
			h = c.newHost(m.key, m.addr, m.pipe, &m.spec)
			c.byKey[m.key] = h
			c.act(c.detector.Step(now, outlier.Event{Kind: outlier.Add, Host: &h.monitor}))
			changed = true
		} else {
			if was := h.spec.Swap(&m.spec); !was.sameTransport(&m.spec) {
				h.gen.Add(1) // its connections may be of another transport socket
			}
			if *h.addr.Load() != m.addr {
				h.addr.Store(&m.addr)
			}
			h.checks.And(^leavingWhenSick)
		}
		c.watch(h)
		order = append(order, h)
	}
	old := c.order
	c.order = order
	for _, h := range old {
		if !seen[h.key] && c.lingers(h) {
			c.order = append(c.order, h)
			continue
		}
		if !seen[h.key] {
			c.drop(h, now)
			changed = true
		}
	}
	if changed {
		c.stats.MembershipChange.Inc()
	}
	c.rebuild()
}

func (c *Cluster) newHost(key string, addr netip.AddrPort, pipe string, s *spec) *Host {
	h := &Host{cluster: c, key: key, pipe: pipe}
	h.addr.Store(&addr)
	h.spec.Store(s)
	h.monitor.Owner = h
	c.guard(h)
	return h
}

// drop lets a host go: what is idle closes now, what is in use when it is done.
func (c *Cluster) drop(h *Host, now time.Time) {
	delete(c.byKey, h.key)
	h.removed.Store(true)
	c.act(c.detector.Step(now, outlier.Event{Kind: outlier.Remove, Host: &h.monitor}))
	c.unguard(h)
	c.unwatch(h)
	h.ejected.Store(false)
	h.idle.drain()
	h.shared.drain()
}

// drainLocked closes all idle connections. c.mu is held.
func (c *Cluster) drainLocked() {
	c.eachHost(func(h *Host) bool { h.idle.drain(); h.shared.drain(); return true })
}

// guard gives a host the breaker the configuration asks for, a new one.
func (c *Cluster) guard(h *Host) {
	c.unguard(h)
	cfg := c.cfg.Load()
	if cfg == nil || cfg.Breaker == nil {
		return
	}
	var b *breaker.Breaker
	b = breaker.New(cfg.Breaker, func(from, to breaker.State) {
		if h.breaker.Load() == b { // a breaker that was replaced has been counted out
			c.stats.HalfOpen.changed(from, to)
		}
	})
	h.breaker.Store(b)
}

// unguard takes a host's breaker away. Once it is out of the host it counts no
// more, and State waits for a change that is being counted.
func (c *Cluster) unguard(h *Host) {
	if b := h.breaker.Swap(nil); b != nil && b.State() != breaker.Closed {
		c.stats.HalfOpen.Open.Dec()
	}
}

func (s *HalfOpenStats) changed(from, to breaker.State) {
	switch to {
	case breaker.Open:
		s.Opened.Inc()
	case breaker.HalfOpen:
		s.HalfOpen.Inc()
	case breaker.Closed:
		s.Closed.Inc()
	}
	switch {
	case from == breaker.Closed:
		s.Open.Inc()
	case to == breaker.Closed:
		s.Open.Dec()
	}
}

func sameBreaker(a, b *cluster.Breaker) bool {
	return a == b || a != nil && b != nil && *a == *b
}
