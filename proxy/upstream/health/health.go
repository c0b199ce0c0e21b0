// Package health is what active health checks say of one host, as a state machine
// without a clock: results go in, and out come whether the host's health changed
// and which interval is next.
//
// A host begins as failed, and its first result decides at once; from then on it
// takes as many results in a row as the thresholds say. A response that says
// plainly that the host is unhealthy needs no threshold.
//
// Envoy: HealthCheckerImplBase and its ActiveHealthCheckSession.
package health

import (
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// Result is what one check came to.
type Result uint8

// The results.
const (
	Success   Result = iota
	Degraded         // a success that asks for little traffic (x-envoy-degraded)
	Failed           // the host says that it is unhealthy: decides at once
	Retriable        // it says so with a status that is in retriable_statuses
	Network          // no connection, or no whole response
	Timeout          // … in time
	Passive          // a response to traffic had x-envoy-immediate-health-check-fail
)

// OK tells whether the host may be used.
func (r Result) OK() bool { return r <= Degraded }

// String names the result as Envoy's health check events do (HealthCheckFailureType).
func (r Result) String() string {
	return [...]string{"SUCCESS", "DEGRADED", "ACTIVE", "ACTIVE", "NETWORK", "NETWORK_TIMEOUT", "PASSIVE"}[min(r, Passive)]
}

// Change is what a result did to the host's health.
type Change uint8

// The changes.
const (
	Unchanged Change = iota
	Counting         // it changes when enough such results have followed (Envoy: ChangePending)
	Changed
)

// A State is the health of one host. The zero value is a host that was not checked
// yet: Failed and Pending.
type State struct {
	checked bool
	healthy bool
	// DegradedNow and TimedOut are what the last result said beside.
	DegradedNow, TimedOut bool
	good, bad             uint32 // results in a row
}

// Failing tells whether the host is not to be used.
func (s *State) Failing() bool { return !s.healthy }

// Pending tells whether the host waits for its first result.
func (s *State) Pending() bool { return !s.checked }

// Step takes a result.
func (s *State) Step(cfg *cluster.HealthCheck, r Result) Change {
	was := *s
	counting := false
	s.checked = true
	if r.OK() {
		s.bad = 0
		s.DegradedNow, s.TimedOut = r == Degraded, false
		if !s.healthy {
			s.good++
			s.healthy = !was.checked || s.good >= cfg.HealthyThreshold
			counting = !s.healthy
		}
	} else {
		s.good = 0
		s.TimedOut = r == Timeout
		if s.healthy {
			s.bad++
			s.healthy = r != Failed && r != Passive && s.bad < cfg.UnhealthyThreshold
			counting = s.healthy
		}
	}
	switch {
	case counting:
		return Counting
	case s.healthy != was.healthy, s.DegradedNow != was.DegradedNow, !was.checked:
		return Changed
	}
	return Unchanged
}

// Next is the interval until the next check, without jitter; traffic tells whether
// the cluster has ever had a connection for traffic.
func Next(cfg *cluster.HealthCheck, traffic bool, r Result, c Change) time.Duration {
	switch {
	case !traffic && r.OK() && c == Unchanged:
		return cfg.NoTrafficHealthy
	case !traffic:
		return cfg.NoTraffic
	case r.OK() && c == Counting:
		return cfg.HealthyEdge
	case r.OK():
		return cfg.Interval
	case c == Counting:
		return cfg.UnhealthyEdge
	}
	return cfg.Unhealthy
}

// Jitter adds to an interval what the configuration asks for at most; draw gives a
// number below n.
func Jitter(cfg *cluster.HealthCheck, d time.Duration, draw func(n int64) int64) time.Duration {
	out := d
	if part := time.Duration(float64(d) * float64(cfg.IntervalJitterPercent) / 100); part > 0 {
		out += time.Duration(draw(int64(part)))
	}
	if cfg.IntervalJitter > 0 {
		out += time.Duration(draw(int64(cfg.IntervalJitter)))
	}
	return max(out, time.Millisecond)
}
