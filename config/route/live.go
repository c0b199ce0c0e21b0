package route

import "sync/atomic"

// Live is the route table that streams load: what an RDS update swaps. A stream
// loads it once, so that it sees one configuration from end to end.
type Live struct{ p atomic.Pointer[Table] }

// Load gives the current table; nil before the first Store.
func (l *Live) Load() *Table { return l.p.Load() }

// Store replaces the table for streams that begin from now on.
func (l *Live) Store(t *Table) { l.p.Store(t) }
