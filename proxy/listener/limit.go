package listener

import "sync/atomic"

// A Limit bounds how many downstream connections a process has at once, over all listeners that do not ignore it (Envoy: the resource
// monitor envoy.resource_monitors.global_downstream_max_connections). A nil Limit is none.
type Limit struct {
	max    int64
	active atomic.Int64
}

// NewLimit makes a limit of n connections; 0 is none.
func NewLimit(n uint64) *Limit {
	if n == 0 {
		return nil
	}
	return &Limit{max: int64(min(n, 1<<62))}
}

// take counts one more connection, and says whether there is room for it.
func (l *Limit) take() bool {
	if l == nil {
		return true
	}
	if l.active.Add(1) > l.max {
		l.active.Add(-1)
		return false
	}
	return true
}

// release counts one less.
func (l *Limit) release() {
	if l != nil {
		l.active.Add(-1)
	}
}
