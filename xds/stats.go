package xds

import "sync/atomic"

// Stats are the numbers of a Client, readable at any time. The names in the comments are Envoy's.
type Stats struct {
	Connected atomic.Uint64 // control_plane.connected_state: streams that are open
	Snapshots atomic.Uint64 // snapshots published
	Warming   atomic.Uint64 // resources that wait
	Degraded  atomic.Uint64 // xds.degraded_fields: accepted fields without effect
	types     [kinds]TypeStats
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
}

// Type gives the numbers of a type by its type URL, nil when the type is unknown.
func (s *Stats) Type(typeURL string) *TypeStats {
	k, ok := kindOf(typeURL)
	if !ok {
		return nil
	}
	return &s.types[k]
}

// publish copies the session's numbers.
func (st *Stats) publish(s *Session) {
	var connected, warming, degraded uint64
	for i := range s.sources {
		if c := &s.sources[i]; c.connected && !c.File {
			connected++
		}
	}
	for k := range s.types {
		t, n := &s.types[k], &st.types[k]
		n.Attempt.Store(t.counters.Attempt)
		n.Success.Store(t.counters.Success)
		n.Rejected.Store(t.counters.Rejected)
		n.Failure.Store(t.counters.Failure)
		n.FetchTimeout.Store(t.counters.FetchTimeout)
		var bad, active uint64
		for _, o := range t.slots {
			if o.bad != nil {
				bad++
			}
			if o.waits != "" {
				warming++
			}
			if o.live != nil {
				active++
				degraded += uint64(len(o.live.Degraded))
			}
		}
		n.Bad.Store(bad)
		n.Active.Store(active)
	}
	st.Connected.Store(connected)
	st.Warming.Store(warming)
	st.Degraded.Store(degraded)
	st.Snapshots.Store(s.snapshot.Version)
}
