package upstream

import (
	"math"
	"strings"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// Clusters read the runtime by being configured anew in its light: what is on the path of a request stays as it is, and so do hosts
// and connections.

// overrides are what the runtime says about clusters.
type overrides struct {
	values   map[string]*runtime.Value // of the keys that clusters read; nil when there are none
	breakers bool                      // some of them are of circuit breakers
}

// newOverrides finds them.
func newOverrides(s *runtime.Snapshot) *overrides {
	o := &overrides{}
	for name, v := range s.Final {
		breaker := strings.HasPrefix(name, "circuit_breakers.")
		if !breaker && name != keyPanic && !strings.HasPrefix(name, "outlier_detection.") && !strings.HasPrefix(name, "health_check.") {
			continue
		}
		if o.values == nil {
			o.values = map[string]*runtime.Value{}
		}
		o.values[name] = v
		o.breakers = o.breakers || breaker
	}
	return o
}

const keyPanic = "upstream.healthy_panic_threshold"

// over gives cfg with what the runtime says in place of what is configured; cfg itself when that is nothing.
func (o *overrides) over(cfg *cluster.Cluster) *cluster.Cluster {
	if len(o.values) == 0 {
		return cfg
	}
	out, changed := *cfg, false
	r := reader{values: o.values, changed: &changed}
	r.percent(keyPanic, &out.Panic)
	if o.breakers {
		r.breakers("circuit_breakers."+cfg.Name+".default.", &out.Default)
		r.breakers("circuit_breakers."+cfg.Name+".high.", &out.High)
	}
	if cfg.Outlier != nil {
		d := *cfg.Outlier
		r.outlier(&d)
		out.Outlier = &d
	}
	if cfg.Health != nil {
		h := *cfg.Health
		r.checks(&h)
		out.Health = &h
	}
	if !changed {
		return cfg
	}
	return &out
}

// reader puts values in place of configured ones.
type reader struct {
	values  map[string]*runtime.Value
	changed *bool
}

func (r reader) uint(key string) (uint64, bool) {
	v := r.values[key]
	if v == nil {
		return 0, false
	}
	return v.Uint()
}

func (r reader) uint32(key string, to *uint32) {
	if n, ok := r.uint(key); ok && n <= math.MaxUint32 && uint32(n) != *to {
		*to, *r.changed = uint32(n), true
	}
}

func (r reader) percent(key string, to *float64) {
	if n, ok := r.uint(key); ok && float64(min(n, 100)) != *to {
		*to, *r.changed = float64(min(n, 100)), true
	}
}

// ms takes milliseconds; a duration is never 0.
func (r reader) ms(key string, to *time.Duration) {
	if n, ok := r.uint(key); ok && n > 0 && milliseconds(n) != *to {
		*to, *r.changed = milliseconds(n), true
	}
}

func milliseconds(n uint64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

func (r reader) breakers(prefix string, t *cluster.Thresholds) {
	r.uint32(prefix+"max_connections", &t.MaxConnections)
	r.uint32(prefix+"max_pending_requests", &t.MaxPending)
	r.uint32(prefix+"max_requests", &t.MaxRequests)
	r.uint32(prefix+"max_retries", &t.MaxRetries)
	percent, least := r.values[prefix+"retry_budget.budget_percent"], r.values[prefix+"retry_budget.min_retry_concurrency"]
	if percent == nil && least == nil {
		return
	}
	if t.BudgetPercent < 0 { // Envoy: a value makes a budget where there is none, of 20 % and 3
		t.BudgetPercent, t.BudgetMinConcurrency, *r.changed = 20, 3, true
	}
	if percent != nil {
		if n, ok := percent.Float(); ok && n >= 0 && n <= 100 {
			t.BudgetPercent, *r.changed = n, true
		}
	}
	r.uint32(prefix+"retry_budget.min_retry_concurrency", &t.BudgetMinConcurrency)
}

func (r reader) outlier(d *cluster.Outlier) {
	const p = "outlier_detection."
	r.uint32(p+"consecutive_5xx", &d.Consecutive5xx)
	r.uint32(p+"consecutive_gateway_failure", &d.ConsecutiveGateway)
	r.uint32(p+"consecutive_local_origin_failure", &d.ConsecutiveLocal)
	r.uint32(p+"enforcing_consecutive_5xx", &d.EnforcingConsecutive5xx)
	r.uint32(p+"enforcing_consecutive_gateway_failure", &d.EnforcingConsecutiveGateway)
	r.uint32(p+"enforcing_consecutive_local_origin_failure", &d.EnforcingConsecutiveLocal)
	r.uint32(p+"max_ejection_percent", &d.MaxEjectionPercent)
	r.ms(p+"interval_ms", &d.Interval)
	r.ms(p+"base_ejection_time_ms", &d.BaseEjection)
	r.ms(p+"max_ejection_time_ms", &d.MaxEjection)
}

// checks holds all intervals between two bounds.
func (r reader) checks(h *cluster.HealthCheck) {
	least, most := time.Duration(0), time.Duration(math.MaxInt64)
	if n, ok := r.uint("health_check.min_interval"); ok {
		least = milliseconds(n)
	}
	if n, ok := r.uint("health_check.max_interval"); ok {
		most = max(milliseconds(n), time.Millisecond)
	}
	for _, d := range []*time.Duration{&h.Interval, &h.NoTraffic, &h.NoTrafficHealthy, &h.Unhealthy, &h.UnhealthyEdge, &h.HealthyEdge} {
		if now := max(min(*d, most), least); now != *d {
			*d, *r.changed = now, true
		}
	}
}

// revalue configures the clusters anew that the runtime says something about, or no longer does.
func (m *Manager) revalue(s *runtime.Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, now := m.over, newOverrides(s)
	if m.over = now; len(was.values)+len(now.values) == 0 {
		return
	}
	for _, c := range *m.clusters.Load() {
		c.revalue()
	}
}

// revalue puts in force what the runtime says now.
func (c *Cluster) revalue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, cfg := c.cfg.Load(), c.m.over.over(c.base)
	if cfg == was {
		return
	}
	now := time.Now()
	c.cfg.Store(cfg)
	c.setLimits(cfg)
	if cfg.Outlier != nil {
		c.act(c.detector.Step(now, outlier.Event{Kind: outlier.Configure, Config: cfg.Outlier}))
		if cfg.Outlier.Interval != was.Outlier.Interval {
			c.schedule(c.m.tasks, now)
		}
	}
	if cfg.Health != nil {
		for _, h := range c.order {
			c.watch(h)
		}
	}
	if c.plan.threshold != cfg.Panic {
		c.plan.threshold = cfg.Panic
		c.rebuild()
	}
}
