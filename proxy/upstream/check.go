package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/stats"
	active "github.com/weirproxy/weir/proxy/upstream/health"
	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// A checker checks one host actively: at most one check is under way at a time, on
// a goroutine of its own that the schedule starts and that schedules the next.
type checker struct {
	h    *Host
	task task
	wire *wire // kept from one check for the next; of the check under way, else guarded by the cluster's mu

	// guarded by the cluster's mu
	cfg     *cluster.HealthCheck
	state   active.State
	busy    bool
	cancel  context.CancelFunc // of the check under way
	stopped bool
}

// What active health checks say of a host, for those that read without the lock.
const (
	checkedHost     uint32 = 1 << iota // there are checks
	failedCheck                        // failed_active_hc
	degradedCheck                      // degraded_active_hc
	pendingCheck                       // pending_active_hc
	checkTimedOut                      // active_hc_timeout
	leavingWhenSick                    // pending_dynamic_removal
)

// HealthCheckStats are the statistics of active health checks, under
// cluster.<name>.health_check.
type HealthCheckStats struct {
	Attempt        *stats.Counter `stat:"attempt"`
	Success        *stats.Counter `stat:"success"`
	Failure        *stats.Counter `stat:"failure"`
	PassiveFailure *stats.Counter `stat:"passive_failure"`
	NetworkFailure *stats.Counter `stat:"network_failure"`
	VerifyCluster  *stats.Counter `stat:"verify_cluster"` // always 0: service names are not verified
	Healthy        *stats.Gauge   `stat:"healthy"`
	Degraded       *stats.Gauge   `stat:"degraded"`
}

// watch gives a host the checks that the configuration asks for, or none; it tells
// whether its health is another now. What is known of its health stays. c.mu is held.
func (c *Cluster) watch(h *Host) (changed bool) {
	cfg := c.cfg.Load().Health
	if e := h.spec.Load().check; e != nil && e.Disabled {
		cfg = nil
	}
	switch {
	case cfg == nil:
		was := h.checks.Load()
		c.unwatch(h)
		return was != 0
	case h.checker != nil:
		h.checker.cfg = cfg
		return false
	}
	k := &checker{h: h, cfg: cfg}
	k.task.run = k.start
	h.checker = k
	k.show()
	first := time.Now()
	if cfg.InitialJitter > 0 {
		first = first.Add(rand.N(cfg.InitialJitter))
	}
	c.m.tasks.add(&k.task, first)
	return true
}

// unwatch ends a host's checks, also the one under way. c.mu is held.
func (c *Cluster) unwatch(h *Host) {
	h.checks.Store(0)
	k := h.checker
	if k == nil {
		return
	}
	h.checker = nil
	k.stopped = true
	c.m.tasks.stop(&k.task)
	if k.busy {
		k.cancel()
		return
	}
	k.wire.close()
	k.wire = nil
}

// unwatchAll ends all checks. c.mu is held.
func (c *Cluster) unwatchAll() {
	for _, h := range c.order {
		c.unwatch(h)
	}
}

// show makes the state visible. c.mu is held.
func (k *checker) show() {
	f := checkedHost | k.h.checks.Load()&leavingWhenSick
	if k.state.Failing() {
		f |= failedCheck
	}
	if k.state.DegradedNow {
		f |= degradedCheck
	}
	if k.state.Pending() {
		f |= pendingCheck
	}
	if k.state.TimedOut {
		f |= checkTimedOut
	}
	k.h.checks.Store(f)
}

// start is the task: it begins a check.
func (k *checker) start(time.Time) time.Time {
	c := k.h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.stopped {
		return time.Time{}
	}
	cfg := k.cfg
	ctx, cancel := context.WithTimeout(c.m.lookups.ctx, cfg.Timeout)
	k.busy, k.cancel = true, cancel
	c.checks.Attempt.Inc()
	c.m.checks.Go(func() {
		r, err := k.check(ctx, cfg)
		if r == active.Network && (ctx.Err() == context.DeadlineExceeded || errors.Is(err, os.ErrDeadlineExceeded)) {
			r = active.Timeout
		}
		over := c.m.lookups.ctx.Err() != nil
		cancel()
		k.done(cfg, r, err, over)
	})
	return time.Time{}
}

// done takes the result of a check and schedules the next; over says that there is
// to be none.
func (k *checker) done(cfg *cluster.HealthCheck, r active.Result, err error, over bool) {
	c := k.h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	k.busy, k.cancel = false, nil
	if k.stopped || over {
		k.wire.close()
		k.wire = nil
		return
	}
	change := k.take(cfg, r, err)
	if k.stopped { // the host was waiting to go
		return
	}
	next := active.Next(cfg, c.stats.CxTotal.Value() > 0, r, change)
	c.m.tasks.add(&k.task, time.Now().Add(active.Jitter(cfg, next, rand.Int64N)))
}

// take puts a result in force. c.mu is held.
func (k *checker) take(cfg *cluster.HealthCheck, r active.Result, err error) active.Change {
	h, c, st := k.h, k.h.cluster, k.h.cluster.checks
	failing, pending := k.state.Failing(), k.state.Pending()
	change := k.state.Step(cfg, r)
	k.show()
	switch r {
	case active.Success, active.Degraded:
		st.Success.Inc()
	case active.Network, active.Timeout:
		st.NetworkFailure.Inc()
		st.Failure.Inc()
	case active.Passive:
		st.PassiveFailure.Inc()
		st.Failure.Inc()
	default:
		st.Failure.Inc()
	}
	fields := func() []zap.Field {
		return []zap.Field{c.field(), hostField(h), zap.Stringer("result", r), zap.Error(err)}
	}
	switch {
	case k.state.Failing() && (!failing || pending):
		c.m.log.Warn("host fails its health checks", fields()...)
	case failing && !k.state.Failing():
		c.m.log.Info("host passes its health checks", fields()...)
	case !r.OK() && cfg.AlwaysLogFailures:
		c.m.log.Warn("health check failed", fields()...)
	case r.OK() && cfg.AlwaysLogSuccesses:
		c.m.log.Info("health check succeeded", fields()...)
	}
	if k.state.Failing() && !failing {
		h.unhealthy(c.cfg.Load().CloseOnUnhealthy)
	}
	if k.state.Failing() && h.checks.Load()&leavingWhenSick != 0 {
		c.forget(h)
		return change
	}
	if pending {
		c.m.lookups.tell()
	}
	if change == active.Changed {
		c.rebuild()
	}
	if r.OK() && !k.state.Failing() && h.ejected.Load() {
		c.act(c.detector.Step(time.Now(), outlier.Event{Kind: outlier.Recovered, Host: &h.monitor}))
	}
	return change
}

// lingers tells whether a host that no endpoint names any more stays, because it is
// checked and well: until a check fails (Envoy: ignore_health_on_host_removal false).
func (c *Cluster) lingers(h *Host) bool {
	if c.cfg.Load().IgnoreHealthOnRemoval || c.cfg.Load().Health == nil || h.checker == nil || h.checker.state.Failing() {
		return false
	}
	h.checks.Or(leavingWhenSick)
	return true
}

// forget drops a host that lingered. c.mu is held.
func (c *Cluster) forget(h *Host) {
	order := make([]*Host, 0, len(c.order))
	for _, o := range c.order {
		if o != h {
			order = append(order, o)
		}
	}
	c.order = order
	c.drop(h, time.Now())
	c.stats.MembershipChange.Inc()
	c.rebuild()
}

// failNow makes the host fail its checks, because a response to traffic said so
// (x-envoy-immediate-health-check-fail). It does nothing where there are none.
func (h *Host) failNow() {
	if f := h.checks.Load(); f&checkedHost == 0 || f&failedCheck != 0 {
		return
	}
	c := h.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := h.checker; k != nil && !k.state.Failing() {
		k.take(k.cfg, active.Passive, nil)
	}
}

// countChecked sets the gauges. c.mu is held.
func (c *Cluster) countChecked() {
	if c.checks == nil {
		return
	}
	ok, deg := int64(0), int64(0)
	for _, h := range c.order {
		f := h.checks.Load()
		switch {
		case f&checkedHost == 0 || f&failedCheck != 0:
		case f&degradedCheck != 0:
			deg++
			ok++
		default:
			ok++
		}
	}
	c.checks.Healthy.Set(ok)
	c.checks.Degraded.Set(deg)
}
