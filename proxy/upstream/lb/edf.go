package lb

import "sync"

// edf is an earliest-deadline-first schedule: each index comes up in exact
// proportion to its weight, evenly spread (Envoy: EdfScheduler).
type edf struct {
	weight func(i int) float64 // asked when an index was picked; > 0

	mu   sync.Mutex
	heap []slot // guarded by mu
	seq  uint64 // guarded by mu
}

type slot struct {
	deadline float64
	seq      uint64 // among equal deadlines the one that waits longest comes first
	index    int
}

// rebase is the deadline above which all are moved back, long before adding a
// small step to a large number would lose bits of the step.
const rebase = 1 << 20

// newEDF makes a schedule of n indexes. The seed moves its beginning, so that
// many schedules made at once do not all begin with the same index.
func newEDF(n int, weight func(i int) float64, seed uint64) *edf {
	e := &edf{weight: weight, heap: make([]slot, n)}
	for i := range n {
		e.heap[i] = slot{1 / weight(i), uint64(i), i}
	}
	e.seq = uint64(n)
	for i := n/2 - 1; i >= 0; i-- {
		e.down(i)
	}
	for range seed % uint64(n) {
		e.next()
	}
	return e
}

func (e *edf) next() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	top := &e.heap[0]
	i := top.index
	if top.deadline > rebase {
		// The heap's order does not change when all deadlines lose the same.
		now := top.deadline
		for j := range e.heap {
			e.heap[j].deadline -= now
		}
	}
	top.deadline += 1 / e.weight(i)
	e.seq++
	top.seq = e.seq
	e.down(0)
	return i
}

func (e *edf) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(e.heap); c++ {
			if e.before(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		e.heap[i], e.heap[least] = e.heap[least], e.heap[i]
		i = least
	}
}

func (e *edf) before(a, b int) bool {
	x, y := &e.heap[a], &e.heap[b]
	return x.deadline < y.deadline || x.deadline == y.deadline && x.seq < y.seq
}
