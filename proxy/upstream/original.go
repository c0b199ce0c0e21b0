package upstream

import (
	"net/netip"
	"sync"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// original is the hosts of an ORIGINAL_DST cluster: made when first asked for,
// forgotten when a while unused.
type original struct {
	mu    sync.RWMutex
	hosts map[netip.AddrPort]*Host // guarded by mu
}

func newOriginal() *original { return &original{hosts: map[netip.AddrPort]*Host{}} }

// pickOriginal gives the host at the original destination.
func (c *Cluster) pickOriginal(p *PickInfo) (*Host, *Error) {
	if !p.Dest.IsValid() || p.Dest.Addr().IsUnspecified() {
		c.stats.CxNoneHealthy.Inc()
		c.stats.OriginalDstInvalid.Inc()
		return nil, ErrNoDestination
	}
	to := c.originalOf(p.Dest)
	o := c.original
	o.mu.RLock()
	h := o.hosts[to]
	o.mu.RUnlock()
	if h == nil {
		h = c.addOriginal(to)
	}
	if b := h.breaker.Load(); b != nil && !b.Ready(time.Now()) {
		c.stats.HalfOpen.Rejected.Inc()
		return nil, ErrBreakerOpen
	}
	h.lastUsed.Store(time.Now().UnixNano())
	return h, nil
}

// originalOf is the address of the host that stands for a destination.
func (c *Cluster) originalOf(dest netip.AddrPort) netip.AddrPort {
	port := dest.Port()
	if own := c.cfg.Load().Original.PortOverride; own != 0 {
		port = own
	}
	return netip.AddrPortFrom(dest.Addr().Unmap(), port)
}

// GoesTo tells whether every connection for a destination goes to that very address.
func (c *Cluster) GoesTo(dest netip.AddrPort) bool {
	return c.original != nil && dest.IsValid() && !dest.Addr().IsUnspecified() &&
		c.originalOf(dest) == netip.AddrPortFrom(dest.Addr().Unmap(), dest.Port())
}

func (c *Cluster) addOriginal(to netip.AddrPort) *Host {
	o := c.original
	o.mu.Lock()
	defer o.mu.Unlock()
	if h := o.hosts[to]; h != nil {
		return h
	}
	h := c.newHost(to.String(), to, "", spec{weight: 1, health: cluster.HealthUnknown})
	h.lastUsed.Store(time.Now().UnixNano())
	o.hosts[to] = h
	c.stats.MembershipChange.Inc()
	c.stats.MembershipTotal.Set(int64(len(o.hosts)))
	c.stats.MembershipHealthy.Set(int64(len(o.hosts)))
	return h
}

// clean forgets hosts without connections that were not asked for since before.
func (c *Cluster) clean(before time.Time) {
	o := c.original
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, h := range o.hosts {
		if h.connections.n.Load() == 0 && h.requests.Load() == 0 && h.lastUsed.Load() < before.UnixNano() {
			delete(o.hosts, k)
			h.removed.Store(true)
			c.unguard(h)
			c.stats.MembershipChange.Inc()
		}
	}
	c.stats.MembershipTotal.Set(int64(len(o.hosts)))
	c.stats.MembershipHealthy.Set(int64(len(o.hosts)))
}

// list gives the hosts of the moment.
func (o *original) list() []*Host {
	o.mu.RLock()
	defer o.mu.RUnlock()
	out := make([]*Host, 0, len(o.hosts))
	for _, h := range o.hosts {
		out = append(out, h)
	}
	return out
}

// eachHost calls f for every host until it gives false.
func (c *Cluster) eachHost(f func(*Host) bool) {
	hosts := c.set.Load().hosts
	if c.original != nil {
		hosts = c.original.list()
	}
	for _, h := range hosts {
		if !f(h) {
			return
		}
	}
}
