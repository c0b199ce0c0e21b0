package upstream

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A task is something that is due again and again.
type task struct {
	run     func(now time.Time) (next time.Time) // on Run's goroutine; the zero time ends it
	stopped atomic.Bool

	// guarded by the schedule's mu
	due   time.Time
	index int
}

// schedule is all tasks by when they are due: one timer for all clusters.
type schedule struct {
	mu    sync.Mutex
	tasks taskHeap // guarded by mu
	wake  chan struct{}
}

// slack is how much later than asked a task may run, so that one waking serves
// many.
const slack = 50 * time.Millisecond

func newSchedule() *schedule { return &schedule{wake: make(chan struct{}, 1)} }

// add schedules a task.
func (s *schedule) add(t *task, due time.Time) {
	s.mu.Lock()
	t.due = due
	heap.Push(&s.tasks, t)
	first := s.tasks[0] == t
	s.mu.Unlock()
	if first {
		s.poke()
	}
}

// stop ends a task, and forgets it at once: what it holds may be much, and it may be due in a long time.
func (s *schedule) stop(t *task) {
	t.stopped.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := t.index; i >= 0 && i < len(s.tasks) && s.tasks[i] == t {
		heap.Remove(&s.tasks, i)
	}
}

func (s *schedule) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run runs what is due, until ctx ends.
func (s *schedule) run(ctx context.Context) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		now := time.Now()
		next := s.step(now)
		wait := time.Hour
		if !next.IsZero() {
			wait = max(next.Sub(now), slack)
		}
		t.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-t.C:
		}
	}
}

// step runs every task that is due and gives the time of the next.
func (s *schedule) step(now time.Time) time.Time {
	for {
		s.mu.Lock()
		if len(s.tasks) == 0 {
			s.mu.Unlock()
			return time.Time{}
		}
		t := s.tasks[0]
		if t.due.After(now) && !t.stopped.Load() {
			s.mu.Unlock()
			return t.due
		}
		heap.Pop(&s.tasks)
		s.mu.Unlock()
		if t.stopped.Load() {
			continue
		}
		if next := t.run(now); !next.IsZero() {
			s.mu.Lock()
			if t.due = next; !t.stopped.Load() {
				heap.Push(&s.tasks, t)
			}
			s.mu.Unlock()
		}
	}
}

// taskHeap implements heap.Interface.
type taskHeap []*task

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *taskHeap) Push(x any) {
	t := x.(*task)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *taskHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h, t.index = old[:len(old)-1], -1
	return t
}
