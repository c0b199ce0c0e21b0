package e2e

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
)

// A tally counts answers.
type tally struct {
	sent, failed int
	by           map[string]int // by origin
	firstError   string
}

// String implements fmt.Stringer.
func (t tally) String() string {
	return fmt.Sprintf("%d sent, %d failed (%s), %v", t.sent, t.failed, t.firstError, t.by)
}

// A load is requests that are being sent, from several connections.
type load struct {
	sent atomic.Int64
	stop atomic.Bool
	wg   sync.WaitGroup

	mu sync.Mutex
	t  tally // guarded by mu
}

// startLoad sends requests until end is called, n at most when n > 0.
func (w *world) startLoad(url string, workers, n int) *load {
	l := &load{t: tally{by: map[string]int{}}}
	c := w.client()
	for range workers {
		l.wg.Go(func() {
			for !l.stop.Load() && (l.sent.Add(1) <= int64(n) || n <= 0) {
				r, err := get(c, url)
				l.count(r, err)
			}
		})
	}
	return l
}

func (l *load) count(r reply, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.sent++
	if err == nil && r.code == http.StatusOK {
		l.t.by[r.origin]++
		return
	}
	l.t.failed++
	if l.t.firstError == "" {
		l.t.firstError = fmt.Sprintf("%d %q %v", r.code, r.body, err)
	}
}

// answered is how many requests have come back.
func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.t.sent
}

// end stops sending, waits for what is under way, and counts.
func (l *load) end() tally {
	l.stop.Store(true)
	l.wg.Wait()
	return l.t
}

// wait waits until all n requests are answered.
func (l *load) wait() tally {
	l.wg.Wait()
	return l.t
}

// more waits until n further requests have come back.
func (w *world) more(l *load, n int) {
	w.t.Helper()
	want := l.answered() + n
	w.until(fmt.Sprintf("%d more answers", n), func() error {
		if got := l.answered(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// share holds an origin's part to a probability, within five standard deviations
// of what chance does.
func (w *world) share(t tally, origin string, p float64) {
	w.t.Helper()
	n := float64(t.sent - t.failed)
	got := float64(t.by[origin])
	if math.Abs(got-n*p) > 5*math.Sqrt(n*p*(1-p)) {
		w.t.Errorf("%s got %.0f of %.0f, want about %.0f", origin, got, n, n*p)
	}
}
