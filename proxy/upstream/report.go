package upstream

import (
	"math/rand/v2"
	"time"

	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// Report tells what one exchange with the host came to: it feeds the host's
// counters and outlier detection. While all is well it is a few atomic adds. Users
// of an Attempt call its Report instead, which calls this one.
func (h *Host) Report(o Outcome) {
	if o.Failure == ConnectFail || o.Failure == ConnectTimeout {
		return // OpenHTTP and OpenTCP have reported it
	}
	h.report(o)
}

func (h *Host) report(o Outcome) {
	failed, counts := o.failed()
	if !counts {
		return
	}
	if failed {
		h.count.rqError.Add(1)
		if o.Failure == Timeout {
			h.count.rqTimeout.Add(1)
		}
	} else if o.Code != 0 {
		h.count.rqSuccess.Add(1)
	}
	c := h.cluster
	cfg := c.cfg.Load().Outlier
	if cfg == nil || c.original != nil {
		return
	}
	r := outlier.Responded
	switch o.Failure {
	case ConnectFail, Reset, Protocol:
		r = outlier.ConnectFailed
	case ConnectTimeout, Timeout:
		r = outlier.TimedOut
	}
	if cause := h.monitor.Observe(cfg, r, o.Code); cause != 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.act(c.detector.Step(time.Now(), outlier.Event{
			Kind: outlier.Tripped, Host: &h.monitor, Cause: cause, Draw: uint32(rand.IntN(100)),
		}))
	}
}

// act does what the detector decided. c.mu is held.
func (c *Cluster) act(actions []outlier.Action) {
	if len(actions) == 0 {
		if c.outlier != nil {
			c.outlier.Active.Set(int64(c.detector.Active()))
		}
		return
	}
	changed := false
	for _, a := range actions {
		h, _ := a.Host.Owner.(*Host)
		switch a.Verb {
		case outlier.Detected:
			c.outlier.detected(a.Cause)
		case outlier.Overflow:
			c.outlier.Overflow.Inc()
		case outlier.Eject:
			h.ejected.Store(true)
			changed = true
			c.outlier.enforced(a.Cause)
			c.m.log.Info("host ejected", c.field(), hostField(h), causeField(a.Cause))
			h.unhealthy(c.cfg.Load().CloseOnUnhealthy)
		case outlier.Uneject:
			h.ejected.Store(false)
			changed = true
			c.m.log.Info("host no longer ejected", c.field(), hostField(h))
		}
	}
	c.outlier.Active.Set(int64(c.detector.Active()))
	if changed {
		c.rebuild()
	}
}

// unhealthy ends what connects to a host that is not to be used: HTTP connections
// when they are idle — others may lead to something better — and those for raw
// bytes at once where the configuration says so (Envoy: onHostHealthFailure).
func (h *Host) unhealthy(closeAll bool) {
	h.gen.Add(1)
	h.idle.drain()
	h.shared.drain()
	if closeAll {
		h.raw.abort()
	}
}

func (s *OutlierStats) detected(c outlier.Cause) {
	s.Total.Inc()
	switch c {
	case outlier.Server:
		s.Detected5xx.Inc()
	case outlier.Gateway:
		s.DetectedGateway.Inc()
	case outlier.Local:
		s.DetectedLocal.Inc()
	}
}

func (s *OutlierStats) enforced(c outlier.Cause) {
	s.EnforcedTotal.Inc()
	switch c {
	case outlier.Server:
		s.Enforced5xx.Inc()
		s.Consecutive5xx.Inc()
	case outlier.Gateway:
		s.EnforcedGateway.Inc()
	case outlier.Local:
		s.EnforcedLocal.Inc()
	}
}
