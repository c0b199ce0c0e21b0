package scale

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cost is the processor time the proxy uses for a request to one target: four connections ask as fast as they can.
func cost(t *testing.T, p *process, tg target, d time.Duration) (perRequest time.Duration) {
	t.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	before, end := p.cpu(), time.Now().Add(d)
	for range 4 {
		wg.Go(func() {
			var c client
			defer c.close()
			for time.Now().Before(end) {
				if _, _, err := c.get(tg); err != nil {
					t.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return (p.cpu() - before) / time.Duration(max(n.Load(), 1))
}

// A pace asks targets in turn at a steady rate from one goroutine, and keeps how long each answer took. An answer that is late does
// not make the next question late: what was not asked in time is counted from when it should have been.
type pace struct {
	stop  chan struct{}
	done  chan struct{}
	mu    sync.Mutex
	took  []time.Duration // guarded by mu
	bad   int             // guarded by mu
	why   string          // of the last bad one; guarded by mu
	every time.Duration
}

func newPace(targets []target, perSecond int) *pace {
	l := &pace{stop: make(chan struct{}), done: make(chan struct{}), every: time.Second / time.Duration(perSecond)}
	go func() {
		defer close(l.done)
		var c client
		defer c.close()
		tick := time.NewTicker(l.every)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			at := time.Now()
			code, body, err := c.get(targets[i%len(targets)])
			l.mu.Lock()
			l.took = append(l.took, time.Since(at))
			if err != nil || code != 200 {
				l.bad++
				l.why = fmt.Sprintf("%s%s: %d %q %v", targets[i%len(targets)].host, targets[i%len(targets)].path, code, body, err)
			}
			l.mu.Unlock()
		}
	}()
	return l
}

// latencies are those of a while.
type latencies struct {
	n, bad        int
	p50, p99, max time.Duration
}

// cut gives what was measured since the last cut.
func (l *pace) cut() latencies {
	l.mu.Lock()
	took, bad := l.took, l.bad
	l.took, l.bad = nil, 0
	l.mu.Unlock()
	slices.Sort(took)
	if len(took) == 0 {
		return latencies{bad: bad}
	}
	return latencies{len(took), bad, took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}

func (l *pace) end() {
	close(l.stop)
	<-l.done
}
