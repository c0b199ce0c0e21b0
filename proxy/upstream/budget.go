package upstream

import (
	"sync"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// A budget is a retry_budget, which replaces max_retries: retries may be a share
// of the requests there are, and always a few (Envoy: RetryBudget).
type budget struct {
	share  float64
	least  int64
	recent *window // with budget_interval, else nil
}

func newBudget(t *cluster.Thresholds) *budget {
	if t.BudgetPercent < 0 {
		return nil
	}
	b := &budget{share: t.BudgetPercent / 100, least: int64(t.BudgetMinConcurrency)}
	if t.BudgetInterval > 0 {
		b.recent = &window{width: max(t.BudgetInterval/parts, 1)}
	}
	return b
}

// retries is how many retries may be under way with so many requests active. With
// a budget_interval, requests that began within it count although they are over.
func (b *budget) retries(active int64) int64 {
	if b.recent != nil {
		active = max(active, b.recent.count(time.Now()))
	}
	return max(b.least, int64(b.share*float64(active)))
}

// parts is how many parts a window has: a request is forgotten at most a tenth of
// the interval late.
const parts = 10

// A window counts what happened within the last interval.
type window struct {
	width time.Duration // of one part

	mu   sync.Mutex
	n    [parts]int64 // guarded by mu
	last int64        // number of the newest part; guarded by mu
}

// add counts one.
func (w *window) add(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.move(now)
	w.n[w.last%parts]++
}

// count gives how many there were.
func (w *window) count(now time.Time) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.move(now)
	sum := int64(0)
	for _, n := range w.n {
		sum += n
	}
	return sum
}

// move forgets the parts that are over.
func (w *window) move(now time.Time) {
	at := now.UnixNano() / int64(w.width)
	for k := max(w.last+1, at-parts+1); k <= at; k++ {
		w.n[k%parts] = 0
	}
	w.last = max(w.last, at)
}
