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
	before := c.plan.overprovisioning
	c.plan.overprovisioning, c.plan.dropped = 140, 0
	if a != nil {
		if a.Overprovisioning > 0 {
			c.plan.overprovisioning = a.Overprovisioning
		}
		c.plan.dropped = a.DropPercent
	}
	c.stale = c.stale || c.plan.overprovisioning != before
	old := c.rows
	c.rows = rowsOf(a, old)
	if named(c.cfg.Load()) {
		c.retarget(time.Now())
		c.replaceNamed()
		return
	}
	if !c.patch(old) {
		c.replace(listed(c.rows))
		c.seat()
	}
}

// listed gives the members whose addresses are in the assignment. An address that
// comes twice counts once, as in Envoy.
func listed(rows []row) []member {
	n := 0
	for i := range rows {
		n += len(rows[i].from)
	}
	out := make([]member, 0, n)
	for i := range rows {
		for _, e := range rows[i].from {
			if m, ok := memberAt(e, rows[i].place); ok {
				out = append(out, m)
			}
		}
	}
	return out
}

// memberAt gives the member that an endpoint with an address is.
func memberAt(e *cluster.Endpoint, p *place) (member, bool) {
	m := member{addr: e.Addr, pipe: e.Pipe, spec: specOf(e, p)}
	switch {
	case e.Pipe != "":
		m.key = e.Pipe
	case e.Addr.IsValid():
		m.key = e.Addr.String()
	default:
		return m, false // a name: the cluster is of a DNS type, or its decoder refused it
	}
	return m, true
}

// maxPriority is the last priority there can be (Envoy: LocalityLbEndpoints.priority).
const maxPriority = 128

func specOf(e *cluster.Endpoint, p *place) spec {
	host := e.Hostname
	if host == "" {
		host = e.Name
	}
	return spec{hostname: host, weight: max(e.Weight, 1), health: e.Health, priority: p.priority, place: p, labels: e.Labels, check: e.Check}
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
		h, fresh := c.admit(m, now)
		changed = changed || fresh
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

// admit gives the host of a member, a new one if there is none. c.mu is held.
func (c *Cluster) admit(m *member, now time.Time) (h *Host, fresh bool) {
	if h = c.byKey[m.key]; h == nil {
		h, fresh = c.newHost(m.key, m.addr, m.pipe, m.spec), true
		c.byKey[m.key] = h
		c.act(c.detector.Step(now, outlier.Event{Kind: outlier.Add, Host: &h.monitor}))
	} else {
		// What is stored is a copy of its own: the members are many, and one that stays would keep them all.
		if was := h.spec.Load(); !was.equal(&m.spec) {
			s := m.spec
			if h.spec.Store(&s); !was.sameTransport(&s) {
				h.gen.Add(1) // its connections may be of another transport socket
			}
		}
		if *h.addr.Load() != m.addr {
			a := m.addr
			h.addr.Store(&a)
		}
		h.checks.And(^leavingWhenSick)
	}
	c.watch(h)
	return h, fresh
}

func (c *Cluster) newHost(key string, addr netip.AddrPort, pipe string, s spec) *Host {
	h := &Host{cluster: c, key: key, pipe: pipe}
	h.addr.Store(&addr)
	h.spec.Store(&s)
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
