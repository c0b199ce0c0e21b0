package upstream

import (
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// Bounds on how often idle connections are looked at: an eighth of the idle
// timeout, so that none lives much longer.
const (
	minSweep = 250 * time.Millisecond
	maxSweep = 5 * time.Minute
)

// exactIdle is how long a connection stays idle that only one client connection
// can use: its client has most likely gone, and the address it is bound to will be
// the client's again.
const exactIdle = 30 * time.Second

// schedule starts the cluster's recurring work.
func (c *Cluster) schedule(s *schedule, now time.Time) {
	add := func(first time.Time, run func(time.Time) time.Time) {
		t := &task{run: run}
		c.tasks = append(c.tasks, t)
		s.add(t, first)
	}
	for _, t := range c.tasks {
		s.stop(t)
	}
	c.tasks = nil
	cfg := c.cfg.Load()
	if every := sweepEvery(cfg.HTTP.IdleTimeout, cfg.HTTP.MaxConnDuration); every > 0 {
		add(now.Add(every), func(now time.Time) time.Time {
			c.sweep(now)
			if c.exact.Load() {
				return now.Add(min(every, exactIdle/2))
			}
			return now.Add(every)
		})
	}
	if o := cfg.Outlier; o != nil && o.Interval > 0 {
		add(now.Add(o.Interval), func(now time.Time) time.Time {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.act(c.detector.Step(now, outlier.Event{Kind: outlier.Tick}))
			return now.Add(o.Interval)
		})
	}
	if c.original != nil {
		every := cfg.CleanupInterval
		if every <= 0 {
			every = 5 * time.Second // Envoy's default
		}
		add(now.Add(every), func(now time.Time) time.Time { c.clean(now.Add(-every)); return now.Add(every) })
	}
}

func sweepEvery(idle, life time.Duration) time.Duration {
	d := idle
	if d <= 0 || life > 0 && life < d {
		d = life
	}
	if d <= 0 {
		return 0
	}
	return min(max(d/8, minSweep), maxSweep)
}

// sweep closes connections that have been idle, or have lived, too long.
func (c *Cluster) sweep(now time.Time) {
	cfg := c.cfg.Load()
	idle, life := cfg.HTTP.IdleTimeout, cfg.HTTP.MaxConnDuration
	c.eachHost(func(h *Host) bool {
		h.shared.sweep(now, idle, life, c.stats)
		if idle > 0 {
			for _, a := range h.idle.collect(func(a *Attempt) bool {
				return now.Sub(a.since) >= idle || a.key.exact() && now.Sub(a.since) >= exactIdle
			}) {
				c.stats.CxIdleTimeout.Inc()
				a.destroy(endLocal)
			}
		}
		if life > 0 {
			for _, a := range h.idle.pick(func(a *Attempt) bool { return now.Sub(a.opened) >= life }) {
				c.stats.CxMaxDuration.Inc()
				a.destroy(endLocal)
			}
		}
		return true
	})
}

func (c *Cluster) field() zap.Field { return zap.String("cluster", c.name) }

func hostField(h *Host) zap.Field { return zap.Stringer("host", h) }

func causeField(c outlier.Cause) zap.Field { return zap.Stringer("cause", c) }
