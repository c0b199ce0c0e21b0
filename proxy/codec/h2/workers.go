package h2

import (
	"sync"
	"time"
)

// workers are the goroutines that serve streams: one that is done waits for the
// next stream, so that in steady state no goroutine is made and no stack grows.
// Those that were not needed for a while end.
type workers struct {
	idle []*worker
	n    int       // those that wait and those that serve
	low  int       // the fewest that waited since the last trim
	trim time.Time // when to end those too many; zero while none wait
}

// trimEvery is how long a goroutine may be unneeded.
const trimEvery = time.Second

type worker struct {
	st   *ServerStream
	end  bool
	cond sync.Cond
}

// serve hands a stream to a goroutine. The lock is held.
func (w *workers) serve(s *Server, st *ServerStream) {
	if n := len(w.idle); n > 0 {
		k := w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.low = min(w.low, n-1)
		k.st = st
		k.cond.Signal()
		return
	}
	w.n++
	k := &worker{st: st}
	k.cond.L = &s.mu
	go s.work(k)
}

// work is such a goroutine.
func (s *Server) work(k *worker) {
	for {
		st := k.st
		s.h.ServeStream(st)
		st.Finish()
		st.recycle()
		s.mu.Lock()
		s.running--
		s.note = s.note || s.life.phase > 0
		k.st = nil
		if s.err == nil {
			s.workers.park(s, k)
			if s.note {
				s.unlock()
				s.mu.Lock()
			}
			for k.st == nil && !k.end {
				k.cond.Wait()
			}
		}
		if k.st == nil {
			s.workers.n--
			s.ended.Broadcast()
			s.unlock()
			return
		}
		s.unlock()
	}
}

func (w *workers) park(s *Server, k *worker) {
	w.idle = append(w.idle, k)
	if w.trim.IsZero() {
		w.low = 0
		w.trim = time.Now().Add(trimEvery)
		s.timer.by(w.trim)
	}
}

// stop ends n of those that wait, the longest waiting first. The lock is held.
func (w *workers) stop(n int) {
	for _, k := range w.idle[:n] {
		k.end = true
		k.cond.Signal()
	}
	w.idle = w.idle[:copy(w.idle, w.idle[n:])]
}

// due trims and gives when to do so next.
func (w *workers) due(now time.Time) time.Time {
	if w.trim.IsZero() || now.Before(w.trim) {
		return w.trim
	}
	w.stop(min(w.low, len(w.idle)))
	w.low = len(w.idle)
	w.trim = time.Time{}
	if w.low > 0 {
		w.trim = now.Add(trimEvery)
	}
	return w.trim
}
