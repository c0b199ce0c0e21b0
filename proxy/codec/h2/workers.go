package h2

import "sync"

// workers are the goroutines that serve streams: one that is done waits for the
// next stream, so that in steady state no goroutine is made and no stack grows.
type workers struct {
	idle spares[*worker]
	n    int // those that wait and those that serve
}

// A worker has a stream of its own, which serves one request after the other.
type worker struct {
	st      *ServerStream
	running bool // it has a goroutine
	busy    bool // st is to be served
	end     bool
	cond    sync.Cond
}

// take gives a worker for a request that begins. The lock is held. The worker is
// then told to serve, or given back.
func (w *workers) take(s *Server) *worker {
	if k, ok := w.idle.take(); ok {
		return k
	}
	k := &worker{st: newServerStream()}
	k.cond.L = &s.mu
	return k
}

// give takes back a worker that is not needed after all. The lock is held.
func (w *workers) give(s *Server, k *worker) {
	if k.running {
		w.idle.put(k, &s.timer)
		return
	}
	s.retire(k.st)
}

// serve has the worker serve its stream. The lock is held.
func (w *workers) serve(s *Server, k *worker) {
	k.busy = true
	if k.running {
		k.cond.Signal()
		return
	}
	k.running = true
	w.n++
	go s.work(k)
}

// work is a worker's goroutine.
func (s *Server) work(k *worker) {
	for {
		s.h.ServeStream(k.st)
		if !k.st.left {
			k.st.Finish()
		}
		s.mu.Lock()
		s.running--
		s.note = s.note || s.life.phase > 0
		k.busy = false
		if s.err == nil {
			s.workers.idle.put(k, &s.timer)
			if s.note {
				s.unlock()
				s.mu.Lock()
			}
			for !k.busy && !k.end {
				k.cond.Wait()
			}
		}
		if !k.busy {
			s.retire(k.st)
			s.workers.n--
			s.ended.Broadcast()
			s.unlock()
			return
		}
		s.unlock()
	}
}

// dismissed ends a worker that waits. The lock is held.
func dismissed(k *worker) {
	k.end = true
	k.cond.Signal()
}
