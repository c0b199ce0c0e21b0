package h2

import (
	"time"

	"golang.org/x/net/http2"
)

// drainGrace is how long a client may take to answer the PING between the two
// GOAWAYs of a drain.
const drainGrace = time.Second

// pingDrain is what that PING carries.
var pingDrain = [8]byte{'w', 'e', 'i', 'r', 'd', 'r', 'a', 'i'}

// life is how a server's connection comes to its end by our will: by a drain, for
// which there are several reasons. Guarded by core's mutex.
type life struct {
	idle      time.Duration
	idleSince time.Time // meaningful while there is no stream
	until     time.Time // the end of the longest life
	phase     int       // of a drain: 1 after the first GOAWAY, 2 after the second
	grace     time.Time // when phase 2 begins without an answer
	cause     error
}

func (l *life) begin(s *Server, idle, maxAge time.Duration) {
	now := time.Now()
	l.idle, l.idleSince = idle, now
	if idle > 0 {
		s.timer.by(now.Add(idle))
	}
	if maxAge > 0 {
		l.until = now.Add(maxAge)
		s.timer.by(l.until)
	}
}

// drain begins a drain.
func (l *life) drain(s *Server, cause error) {
	if l.phase > 0 || s.err != nil {
		return
	}
	l.phase, l.cause, l.grace = 1, cause, time.Now().Add(drainGrace)
	s.out.goAway(maxStream, http2.ErrCodeNo, "")
	s.out.ping(false, pingDrain)
	s.timer.by(l.grace)
	s.out.kick()
}

// second is the second step: what the client opened meanwhile is served, no more.
func (l *life) second(s *Server) {
	if l.phase != 1 || s.err != nil {
		return
	}
	l.phase = 2
	s.goneAway = true
	s.out.goAway(s.lastID, http2.ErrCodeNo, "")
	s.out.kick()
	l.check(s)
}

// check ends a drained connection without streams.
func (l *life) check(s *Server) {
	if l.phase == 2 && s.active == 0 && s.running == 0 && len(s.late) == 0 {
		s.fail(l.cause)
	}
}

// pong implements side.
func (s *Server) pong() { s.life.second(s) }

// settled implements side.
func (s *Server) settled() {}

// woken implements side.
func (s *Server) woken() {
	if s.c.Draining() {
		s.life.drain(s, ErrDrained)
	}
}

// unused implements side: the last stream is over.
func (s *Server) unused() {
	if l := &s.life; l.idle > 0 {
		l.idleSince = time.Now()
		s.timer.by(l.idleSince.Add(l.idle))
	}
}

// notify implements side.
func (s *Server) notify() {
	s.mu.Lock()
	s.life.check(s)
	s.note = false
	s.mu.Unlock()
}

// due implements side.
func (s *Server) due(now time.Time) (next time.Time) {
	l := &s.life
	if l.idle > 0 && s.active == 0 && l.phase == 0 {
		if at := l.idleSince.Add(l.idle); now.Before(at) {
			next = at
		} else {
			l.drain(s, ErrIdle)
		}
	}
	if !l.until.IsZero() && l.phase == 0 {
		if now.Before(l.until) {
			next = sooner(next, l.until)
		} else {
			l.drain(s, ErrMaxAge)
		}
	}
	if l.phase == 1 {
		if now.Before(l.grace) {
			next = sooner(next, l.grace)
		} else {
			l.second(s)
		}
	}
	next = sooner(next, s.dismissDue(now))
	return sooner(next, s.workers.idle.due(now, dismissed))
}
