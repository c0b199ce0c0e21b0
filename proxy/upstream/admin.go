package upstream

import (
	"net/netip"
	"sort"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// A HostInfo is a host at one moment, for /clusters (Envoy: HostStatus).
type HostInfo struct {
	Addr              netip.AddrPort // invalid for a unix socket
	Name              string         // the address as text, or the unix path
	Hostname          string
	Weight, Priority  uint32
	Region, Zone, Sub string

	Health     cluster.Health // what the control plane says
	Ejected    bool           // failed_outlier_check
	Checks     CheckInfo      // what active health checks say
	Ejections  uint64         // in all
	EjectedFor time.Duration  // 0 when not ejected
	Guarded    bool           // the cluster has half-open breakers
	Breaker    breaker.State

	CxActive, RqActive                     int64
	CxIdle                                 int
	CxTotal, CxConnectFail                 uint64
	RqTotal, RqSuccess, RqError, RqTimeout uint64
}

// CheckInfo is what active health checks say of a host; all false without.
type CheckInfo struct {
	Failed   bool // failed_active_hc
	Degraded bool // degraded_active_hc
	Pending  bool // pending_active_hc: there was no check yet
	TimedOut bool // active_hc_timeout: the last one
	Leaving  bool // pending_dynamic_removal: gone when a check fails
}

func checkInfo(f uint32) CheckInfo {
	return CheckInfo{f&failedCheck != 0, f&degradedCheck != 0, f&pendingCheck != 0, f&checkTimedOut != 0, f&leavingWhenSick != 0}
}

// Healthy tells whether the host is used without a panic.
func (h *HostInfo) Healthy() bool {
	return !h.Ejected && !h.Checks.Failed && !h.Checks.Degraded && (h.Health == cluster.HealthUnknown || h.Health == cluster.Healthy)
}

// HealthFlags writes the host's state as Envoy's /clusters does: "healthy", or
// every reason why not, each with a "/" before it.
func (h *HostInfo) HealthFlags() string {
	s := ""
	if h.Checks.Failed {
		s += "/failed_active_hc"
	}
	if h.Ejected {
		s += "/failed_outlier_check"
	}
	switch h.Health {
	case cluster.Unhealthy, cluster.Draining, cluster.Timeout:
		s += "/failed_eds_health"
	case cluster.Degraded:
		s += "/degraded_eds_health"
	}
	if s == "" {
		return "healthy"
	}
	return s
}

// Hosts lists the cluster's hosts as they are now.
func (c *Cluster) Hosts() []HostInfo {
	now := time.Now()
	var hosts []*Host
	c.eachHost(func(h *Host) bool { hosts = append(hosts, h); return true })
	out := make([]HostInfo, len(hosts))
	for i, h := range hosts {
		out[i] = h.info()
	}
	c.mu.Lock()
	for i, h := range hosts {
		n, since := h.monitor.Ejections()
		out[i].Ejections = n
		if !since.IsZero() {
			out[i].EjectedFor = now.Sub(since)
		}
	}
	c.mu.Unlock()
	if c.original != nil {
		sort.Slice(out, func(i, j int) bool { return out[i].Addr.Compare(out[j].Addr) < 0 })
	}
	return out
}

func (h *Host) info() HostInfo {
	sp, n := h.spec.Load(), &h.count
	o := HostInfo{
		Addr: h.Address(), Name: h.String(), Hostname: sp.hostname, Weight: sp.weight, Priority: sp.priority,
		Health: sp.health, Ejected: h.ejected.Load(), Checks: checkInfo(h.checks.Load()),
		CxActive: h.connections.n.Load(), RqActive: h.requests.Load(), CxIdle: h.idle.size(),
		CxTotal: n.cxTotal.Load(), CxConnectFail: n.cxConnectFail.Load(),
		RqTotal: n.rqTotal.Load(), RqSuccess: n.rqSuccess.Load(), RqError: n.rqError.Load(), RqTimeout: n.rqTimeout.Load(),
	}
	if l := sp.place; l != nil {
		o.Region, o.Zone, o.Sub = l.region, l.zone, l.sub
	}
	if b := h.breaker.Load(); b != nil {
		o.Guarded, o.Breaker = true, b.State()
	}
	return o
}

// BreakerState is where the host's half-open breaker stands; false when the
// cluster has none configured.
func (h *Host) BreakerState() (breaker.State, bool) {
	b := h.breaker.Load()
	if b == nil {
		return breaker.Closed, false
	}
	return b.State(), true
}

// Usage is how much of a priority's thresholds is taken.
type Usage struct {
	Connections, Pending, Requests, Retries             int64
	MaxConnections, MaxPending, MaxRequests, MaxRetries int64
	Waiting                                             int64 // requests in the queue for a connection
}

// Usage tells how much of a priority's thresholds is taken.
func (c *Cluster) Usage(high bool) Usage {
	l := c.limits(high)
	return Usage{
		Connections: l.connections.n.Load(), MaxConnections: l.connections.max.Load(),
		Pending: l.pending.n.Load(), MaxPending: l.pending.max.Load(),
		Requests: l.requests.n.Load(), MaxRequests: l.requests.max.Load(),
		Retries: l.retries.n.Load(), MaxRetries: l.retries.max.Load(),
		Waiting: l.waiters.n.Load(),
	}
}

// Panicking tells which priorities are in panic: all their hosts are used.
func (c *Cluster) Panicking() []bool {
	s := c.set.Load()
	out := make([]bool, len(s.levels))
	for i := range s.levels {
		out[i] = s.levels[i].panicking
	}
	return out
}
