package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream/lb"
	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// A Cluster is one cluster at run time. It outlives changes of its configuration:
// its hosts, connections, counts and ejections stay.
type Cluster struct {
	// set when made, never changed
	m       *Manager
	name    string
	scope   *stats.Scope
	stats   *Stats
	outlier *OutlierStats
	checks  *HealthCheckStats // nil until there are health checks
	codes   *stats.Codes

	// read by the data path
	base       *cluster.Cluster                // as configured; written under mu, by one Apply at a time
	cfg        atomic.Pointer[cluster.Cluster] // base, and what the runtime says instead
	set        atomic.Pointer[set]
	normal     limits
	high       limits
	guarded    atomic.Bool // hosts have breakers
	exact      atomic.Bool // there are connections only one client can use
	unresolved atomic.Bool // DNS has given no address
	gen        atomic.Uint32
	turn       atomic.Uint64 // of Dial
	removed    atomic.Bool
	original   *original // of an ORIGINAL_DST cluster
	dstHeader  atomic.Pointer[header.Name]
	transports atomic.Pointer[transports]
	http2      func() *h2.Stats // made when first needed

	mu         sync.Mutex
	assignment *cluster.Assignment // guarded by mu, like all below
	plan       blueprint
	byKey      map[string]*Host
	order      []*Host
	rows       []row // of the assignment
	stale      bool  // the plan changed: nothing of the set there is can be kept
	detector   outlier.Detector
	targets    []*target // of a DNS cluster
	remaining  [2]*Remaining
	tasks      []*task
}

// Name is the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Config is the configuration in force.
func (c *Cluster) Config() *cluster.Cluster { return c.cfg.Load() }

// Stats are the cluster's statistics.
func (c *Cluster) Stats() *Stats { return c.stats }

// CountResponse counts a response by its status (upstream_rq_2xx, upstream_rq_200).
func (c *Cluster) CountResponse(code int) { c.codes.Count(code) }

// OriginalDstHeader is the request header that carries the destination of an
// ORIGINAL_DST cluster with use_http_header (Envoy: http_header_name).
func (c *Cluster) OriginalDstHeader() header.Name { return *c.dstHeader.Load() }

// newCluster makes the runtime of a configuration without hosts yet.
func newCluster(m *Manager, cfg *cluster.Cluster) *Cluster {
	c := &Cluster{m: m, name: cfg.Name, byKey: map[string]*Host{}}
	c.scope = m.stats.Scope(statName(cfg))
	c.stats = stats.Fill[Stats](c.scope)
	c.http2 = sync.OnceValue(func() *h2.Stats { return http2Stats(c.scope) })
	c.codes = stats.NewCodes(c.scope, "upstream_rq")
	c.normal.init(c.name, &c.stats.Default)
	c.high.init(c.name, &c.stats.High)
	c.set.Store(&set{})
	if cfg.Type == cluster.OriginalDestination {
		c.original = newOriginal()
	}
	return c
}

func statName(cfg *cluster.Cluster) string {
	if cfg.StatName != "" {
		return cfg.StatName
	}
	return cfg.Name
}

// configure puts a configuration in force.
func (c *Cluster) configure(base *cluster.Cluster, t *transports) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cfg := c.m.over.over(base)
	c.base = base
	old := c.cfg.Load()
	c.cfg.Store(cfg)
	c.setLimits(cfg)
	name := cfg.Original.HeaderName
	if name == "" {
		name = "x-envoy-original-dst-host"
	}
	n := header.Intern(name)
	c.dstHeader.Store(&n)
	if other := c.useTransports(t); old != nil && (other || sockets(old) != sockets(cfg)) {
		// Connections made with other options are used up, not used again.
		c.gen.Add(1)
		c.drainLocked()
	}
	c.plan = blueprint{builder: lb.Default(), threshold: cfg.Panic, overprovisioning: 140, seed: c.m.seed(), weighted: cfg.LocalityWeighted}
	if f := cfg.LB.Policy.Factory; f != nil {
		if b, ok := f.Build.(lb.Builder); ok && b.New != nil {
			c.plan.builder, c.plan.cfg = b, cfg.LB.Policy.Config
		}
	}
	if l, ok := c.plan.cfg.(interface{ WeighsLocalities() bool }); ok && l.WeighsLocalities() {
		c.plan.weighted = true
	}
	c.stale = true
	if cfg.Outlier != nil && c.outlier == nil {
		c.outlier = stats.Fill[OutlierStats](c.scope.Scope("outlier_detection"))
	}
	c.act(c.detector.Step(time.Now(), outlier.Event{Kind: outlier.Configure, Config: cfg.Outlier}))
	if cfg.Health != nil && c.checks == nil {
		c.checks = stats.Fill[HealthCheckStats](c.scope.Scope("health_check"))
	}
	changed := false
	for _, h := range c.order {
		changed = c.watch(h) || changed
	}
	if changed {
		c.rebuild()
	}
	c.guarded.Store(cfg.Breaker != nil)
	if old == nil || !sameBreaker(old.Breaker, cfg.Breaker) {
		c.eachHost(func(h *Host) bool { c.guard(h); return true })
	}
}

func (c *Cluster) setLimits(cfg *cluster.Cluster) {
	for i, p := range [...]struct {
		l    *limits
		t    *cluster.Thresholds
		name string
	}{{&c.normal, &cfg.Default, "circuit_breakers.default"}, {&c.high, &cfg.High, "circuit_breakers.high"}} {
		if p.t.TrackRemaining && c.remaining[i] == nil {
			c.remaining[i] = stats.Fill[Remaining](c.scope.Scope(p.name))
		}
		if p.t.TrackRemaining {
			p.l.set(p.t, c.remaining[i])
		} else {
			p.l.set(p.t, nil)
		}
	}
}

// socketOptions is what of a configuration is set on a connection when it opens.
type socketOptions struct {
	bind      string
	freebind  bool
	keepAlive cluster.KeepAlive
	kept      bool
	head      uint32
	fields    uint32
	protocol  cluster.Protocol
	h2        core.HTTP2
}

func sockets(c *cluster.Cluster) socketOptions {
	o := socketOptions{freebind: c.BindFreebind, head: c.HTTP.MaxResponseHeaderKB, fields: c.HTTP.MaxHeaders, protocol: c.HTTP.Protocol, h2: c.HTTP.H2}
	if c.Bind.IsValid() {
		o.bind = c.Bind.String()
	}
	if c.KeepAlive != nil {
		o.keepAlive, o.kept = *c.KeepAlive, true
	}
	return o
}

// rebuild makes the set of the hosts as they are now. c.mu is held.
func (c *Cluster) rebuild() { c.use(c.plan.build(c.order, byPriority(c.order), nil, nil)) }

// use puts a set in force. c.mu is held.
func (c *Cluster) use(s *set) {
	c.set.Store(s)
	c.stale = false
	st := c.stats
	st.MembershipTotal.Set(int64(s.counts.total))
	st.MembershipHealthy.Set(int64(s.counts.healthy))
	st.MembershipDegraded.Set(int64(s.counts.degraded))
	st.MembershipExcluded.Set(0) // no host is left out of the count while it waits for its first check
	c.countChecked()
	st.MaxHostWeight.Set(int64(s.top))
}

// close ends the cluster: it is not found any more, and its connections end as
// they become idle.
func (c *Cluster) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed.Store(true)
	for _, t := range c.tasks {
		c.m.tasks.stop(t)
	}
	for _, t := range c.targets {
		c.m.tasks.stop(t.task)
	}
	c.unwatchAll()
	c.drainLocked()
	c.closeTransports()
	c.scope.Close()
}
