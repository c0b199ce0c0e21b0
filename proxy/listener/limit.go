package listener

import (
	"math"
	"sync/atomic"

	values "github.com/weirproxy/weir/config/runtime"
)

// The runtime keys of limits. GlobalKey bounds what a Limit without a bound of its own lets through; the other one, with the name of
// a listener in it, bounds that (Envoy: listener runtime).
const (
	GlobalKey   = "overload.global_downstream_max_connections"
	ownKeyStart = "envoy.resource_limits.listener."
	ownKeyEnd   = ".connection_limit"
)

// A Limit bounds how many downstream connections a process has at once, over all listeners that do not ignore it (Envoy: the resource
// monitor envoy.resource_monitors.global_downstream_max_connections, and without it the runtime key). A nil Limit is none.
type Limit struct {
	max    int64 // 0: key says
	key    *values.Key
	active atomic.Int64
}

// NewLimit makes a limit of n connections; 0 has the runtime say how many, at every connection. Without a value there is no limit.
func NewLimit(n uint64, r *values.Registry) *Limit {
	l := &Limit{max: int64(min(n, math.MaxInt64))}
	if n == 0 {
		l.key = r.Key(GlobalKey)
	}
	return l
}

// take counts one more connection, and says whether there is room for it.
func (l *Limit) take() bool {
	if l == nil {
		return true
	}
	top := l.max
	if top == 0 {
		top = int64(min(l.key.Uint(math.MaxInt64), math.MaxInt64))
	}
	if l.active.Add(1) > top {
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

// full tells whether a listener has as many connections as its own runtime key lets it have.
func (l *Listener) full() bool {
	return uint64(max(l.active.Load(), 0)) >= l.own.Uint(math.MaxUint64)
}
