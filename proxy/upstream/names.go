package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream/dns"
)

// A target is one endpoint of a DNS cluster whose addresses a name stands for.
// All fields are guarded by the cluster's mu.
type target struct {
	endpoint *cluster.Endpoint
	place    *place
	addrs    []netip.Addr
	answered bool // at least once
	failures int  // in a row, up to now
	task     *task
}

func (t *target) key() string {
	return net.JoinHostPort(t.endpoint.Name, strconv.Itoa(int(t.endpoint.Port)))
}

// named tells whether the cluster's hosts come from DNS.
func named(cfg *cluster.Cluster) bool {
	return cfg.Type == cluster.StrictDNS || cfg.Type == cluster.LogicalDNS
}

// retarget makes the targets those of the rows: names that stay keep their
// addresses, the others are looked up at once. c.mu is held.
func (c *Cluster) retarget(now time.Time) {
	old := map[string]*target{}
	for _, t := range c.targets {
		c.m.tasks.stop(t.task)
		old[t.key()] = t
	}
	c.targets = nil
	for i := range c.rows {
		r := &c.rows[i]
		for _, e := range r.from {
			if e.Name == "" {
				continue
			}
			t := &target{endpoint: e, place: r.place}
			if o := old[t.key()]; o != nil {
				t.addrs, t.answered, t.failures = o.addrs, o.answered, o.failures
			}
			t.task = &task{}
			t.task.run = func(now time.Time) time.Time { return c.lookup(t, now) }
			c.targets = append(c.targets, t)
			c.m.tasks.add(t.task, now)
		}
	}
}

// lookup asks for a target's addresses, on a goroutine of its own; its answer
// schedules the next.
func (c *Cluster) lookup(t *target, now time.Time) time.Time {
	c.stats.UpdateAttempt.Inc()
	name, family, r := t.endpoint.Name, c.cfg.Load().DNS.Family, c.m.lookups.resolver
	ok := c.m.lookups.try(func(ctx context.Context) {
		addrs, ttl, err := r.Resolve(ctx, name, family)
		if ctx.Err() == nil {
			c.resolved(t, addrs, ttl, err)
		}
	})
	if !ok {
		return now.Add(retryLookup)
	}
	return time.Time{}
}

// resolved takes an answer. A name that does not exist, or has no addresses, has
// no hosts; any other failure leaves the hosts as they were (Envoy likewise).
func (c *Cluster) resolved(t *target, addrs []netip.Addr, ttl time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.task.stopped.Load() || c.removed.Load() {
		return
	}
	cfg := c.cfg.Load()
	none := errors.Is(err, dns.ErrNoSuchName) || errors.Is(err, dns.ErrNoAddress)
	t.answered = true
	if t.failures++; err == nil {
		t.failures = 0
	}
	next := refresh(&cfg.DNS, ttl, t.failures)
	switch {
	case err != nil && !none:
		c.stats.UpdateFailure.Inc()
		if t.failures == 1 { // once is enough in the log
			c.m.log.Warn("dns lookup", c.field(), zap.Error(err))
		}
	case none:
		c.stats.UpdateEmpty.Inc()
		if cfg.Type == cluster.StrictDNS {
			t.addrs = nil
		}
	default:
		c.stats.UpdateSuccess.Inc()
		t.addrs = addrs
	}
	c.replaceNamed()
	c.m.tasks.add(t.task, time.Now().Add(next))
}

// refresh tells how long until a name is asked for again: as often as configured,
// when its records say, or after failures less and less often (Envoy:
// dns_refresh_rate, respect_dns_ttl, dns_failure_refresh_rate).
func refresh(d *cluster.DNS, ttl time.Duration, failures int) time.Duration {
	every := d.Refresh
	if every <= 0 {
		every = 5 * time.Second // Envoy's default
	}
	if failures == 0 {
		if d.RespectTTL && ttl > 0 {
			return ttl
		}
		return every
	}
	if d.FailureRefresh > 0 {
		every = d.FailureRefresh
	}
	for ; failures > 1 && every < d.FailureRefreshMax; failures-- {
		every = min(2*every, d.FailureRefreshMax)
	}
	return every
}

// replaceNamed makes the addresses known now the cluster's hosts. c.mu is held.
func (c *Cluster) replaceNamed() {
	logical := c.cfg.Load().Type == cluster.LogicalDNS
	ms := listed(c.rows)
	failed := false
	for _, t := range c.targets {
		failed = failed || t.failures > 0
		sp := specOf(t.endpoint, t.place)
		for _, a := range t.addrs {
			addr := netip.AddrPortFrom(a, t.endpoint.Port)
			m := member{key: addr.String(), addr: addr, spec: sp}
			if logical {
				// One host, whatever its address: connections stay when it moves.
				m.key = t.key()
				ms = append(ms, m)
				break
			}
			ms = append(ms, m)
		}
	}
	c.unresolved.Store(failed && len(ms) == 0)
	if !c.same(ms) {
		c.replace(ms)
	}
}

// same tells whether the members are the hosts there are, so that nothing has to
// be done; order does not matter. c.mu is held.
func (c *Cluster) same(ms []member) bool {
	if len(ms) != len(c.order) {
		return false
	}
	for i := range ms {
		h := c.byKey[ms[i].key]
		if h == nil || *h.addr.Load() != ms[i].addr || !h.spec.Load().equal(&ms[i].spec) {
			return false
		}
	}
	return true
}

// resolving tells whether some name has had no answer yet, or some host that is
// checked no check.
func (c *Cluster) resolving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.targets {
		if !t.answered {
			return true
		}
	}
	for _, h := range c.order {
		if h.checks.Load()&pendingCheck != 0 {
			return true
		}
	}
	return false
}
