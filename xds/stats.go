package xds

import "sync/atomic"

// Stats are the numbers of a Client, readable at any time. The names in the comments are Envoy's.
type Stats struct {
	Connected atomic.Uint64 // control_plane.connected_state: streams that are open
	Snapshots atomic.Uint64 // snapshots published
	Warming   atomic.Uint64 // resources that wait
	Degraded  atomic.Uint64 // xds.degraded_fields: accepted fields without effect
	LastGood  atomic.Uint64 // resources that serve from the last known good configuration
	Answered  atomic.Bool   // listeners and clusters are a control plane's word, see lastgood.Progress
	// RateLimited is control_plane.rate_limit_enforced: how often requests waited for a rate limit; Pending is
	// control_plane.pending_requests: how many wait for one now.
	RateLimited atomic.Uint64
	Pending     atomic.Int64

	types [kinds]TypeStats
}

// TypeStats are the numbers of one resource type.
type TypeStats struct {
	Attempt      atomic.Uint64 // update_attempt
	Success      atomic.Uint64 // update_success
	Rejected     atomic.Uint64 // update_rejected
	Failure      atomic.Uint64 // update_failure
	FetchTimeout atomic.Uint64 // init_fetch_timeout
	Bad          atomic.Uint64 // xds.rejected: resources whose last version was refused
	Active       atomic.Uint64 // resources that serve
	Warming      atomic.Uint64 // resources that wait for what they need

	version atomic.Pointer[string]
}

// Type gives the numbers of a type by its type URL, nil when the type is unknown.
func (s *Stats) Type(typeURL string) *TypeStats {
	k, ok := kindOf(typeURL)
	if !ok {
		return nil
	}
	return &s.types[k]
}

// Version is the version that was accepted last, "" before the first.
func (s *TypeStats) Version() string {
	if v := s.version.Load(); v != nil {
		return *v
	}
	return ""
}

// publish copies the session's numbers.
func (st *Stats) publish(s *Session) {
	var connected, warming, degraded, lastGood uint64
	for _, c := range s.sources {
		if c != nil && c.connected && !c.File {
			connected++
		}
	}
	for k := range kinds {
		n, sum := &st.types[k], s.gone[k]
		var bad, active, waiting uint64
		for _, t := range s.ofKind(k) {
			sum.add(t.counters)
			if !s.lastGood.Saved.IsZero() {
				lastGood += uint64(t.countRestored())
			}
			bad += uint64(t.sum.bad)
			active += uint64(t.sum.active)
			waiting += uint64(t.sum.warming)
			degraded += uint64(t.sum.degraded)
		}
		n.Attempt.Store(sum.Attempt)
		n.Success.Store(sum.Success)
		n.Rejected.Store(sum.Rejected)
		n.Failure.Store(sum.Failure)
		n.FetchTimeout.Store(sum.FetchTimeout)
		n.Bad.Store(bad)
		n.Active.Store(active)
		n.Warming.Store(waiting)
		if v := s.types[k].version; v != n.Version() {
			n.version.Store(&v)
		}
		warming += waiting
	}
	st.Connected.Store(connected)
	st.Warming.Store(warming)
	st.LastGood.Store(lastGood)
	st.Answered.Store(s.answeredAll())
	st.Degraded.Store(degraded)
	st.Snapshots.Store(s.snapshot.Version)
}
