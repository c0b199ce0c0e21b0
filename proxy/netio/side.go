package netio

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The states of a side, as bits.
const (
	ready   uint32 = 1 << iota // an event came since the last look
	waiting                    // a goroutine is parked
	expired                    // the deadline has passed
	closed
	hungUp // the peer has finished or the connection broke: always ready
)

// A side is one direction of a descriptor: what is known of it, and the one
// goroutine that may wait for it.
type side struct {
	state atomic.Uint32
	wake  chan struct{} // whoever clears waiting sends once

	mu    sync.Mutex
	timer *time.Timer // guarded by mu, like at; nil until a deadline is set
	at    time.Time
}

func newSide() side { return side{wake: make(chan struct{}, 1)} }

// raise sets bits and wakes who waits.
func (s *side) raise(bits uint32) {
	for {
		old := s.state.Load()
		if !s.state.CompareAndSwap(old, (old|bits)&^waiting) {
			continue
		}
		if old&waiting != 0 {
			s.wake <- struct{}{}
		}
		return
	}
}

func (s *side) clear(bits uint32) { s.state.And(^bits) }

func (s *side) has(bits uint32) bool { return s.state.Load()&bits != 0 }

// await waits until the side is ready.
func (s *side) await() error {
	for {
		old := s.state.Load()
		switch {
		case old&closed != 0:
			return os.ErrClosed
		case old&expired != 0:
			return os.ErrDeadlineExceeded
		case old&(ready|hungUp) != 0:
			return nil
		}
		if s.state.CompareAndSwap(old, old|waiting) {
			<-s.wake
		}
	}
}

// failed is await without waiting.
func (s *side) failed() error {
	switch old := s.state.Load(); {
	case old&closed != 0:
		return os.ErrClosed
	case old&expired != 0:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// setDeadline bounds this wait and those that follow; zero is no bound.
func (s *side) setDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has(closed) {
		return os.ErrClosed
	}
	s.at = t
	d := time.Until(t)
	switch {
	case t.IsZero():
		s.clear(expired)
		if s.timer != nil {
			s.timer.Stop()
		}
	case d <= 0:
		s.raise(expired)
	default:
		s.clear(expired)
		if s.timer == nil {
			s.timer = time.AfterFunc(d, s.due)
		} else {
			s.timer.Reset(d)
		}
	}
	return nil
}

// due is what the timer calls; a deadline that was moved meanwhile is not due.
func (s *side) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && !time.Now().Before(s.at) {
		s.raise(expired)
	}
}

func (s *side) close() {
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.raise(closed)
}
