package stats

import (
	"strconv"
	"sync/atomic"
)

// Codes counts HTTP responses by status as Envoy does: `<name>_200`,
// `<name>_2xx` and `<name>_completed`, where name is `upstream_rq` for a
// cluster. Counters of a status and of a class appear with their first
// response; from then on counting is three atomic adds.
type Codes struct {
	scope     *Scope
	name      string
	completed *Counter
	classes   [5]class // 1xx to 5xx
}

type class struct {
	total atomic.Pointer[Counter]
	codes atomic.Pointer[[100]atomic.Pointer[Counter]]
}

// NewCodes returns the counters of name in the scope. A Codes takes 130 bytes
// until it counts.
func NewCodes(sc *Scope, name string) *Codes {
	return &Codes{scope: sc, name: name, completed: sc.Counter(name + "_completed")}
}

// Count counts a response. A status outside 100..599 counts as completed only.
func (c *Codes) Count(status int) {
	c.completed.Inc()
	if status < 100 || status > 599 {
		return
	}
	cl := &c.classes[status/100-1]
	table := cl.codes.Load()
	if table == nil {
		table = c.open(cl, status)
	}
	cl.total.Load().Inc()
	n := table[status%100].Load()
	if n == nil {
		n = c.scope.Counter(c.name + "_" + strconv.Itoa(status))
		table[status%100].Store(n) // of two racing calls both got the same counter
	}
	n.Inc()
}

// open makes the class's counter, then its table: whoever sees the table sees
// the counter.
func (c *Codes) open(cl *class, status int) *[100]atomic.Pointer[Counter] {
	cl.total.Store(c.scope.Counter(c.name + "_" + strconv.Itoa(status/100) + "xx"))
	cl.codes.CompareAndSwap(nil, new([100]atomic.Pointer[Counter]))
	return cl.codes.Load()
}
