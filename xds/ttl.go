package xds

import (
	"cmp"
	"slices"
	"time"
)

const ttlTimer = "ttl"

// lives notes the time to live that a resource came with, or that a heartbeat renewed; 0 takes it off (xDS protocol: TTL).
func (s *Session) lives(t *typeState, o *slot, ttl time.Duration) {
	if o.ttl = ttl; ttl > 0 {
		o.dies = s.now.Add(ttl)
		s.mortal[o] = t
	} else if !o.dies.IsZero() {
		o.dies = time.Time{}
	} else {
		return
	}
	s.armTTL()
}

// armTTL keeps the timer at the first time to live that runs out.
func (s *Session) armTTL() {
	var first time.Time
	for o, t := range s.mortal {
		switch {
		case o.dies.IsZero() || t.slots[o.name] != o:
			delete(s.mortal, o)
		case first.IsZero() || o.dies.Before(first):
			first = o.dies
		}
	}
	switch {
	case first.Equal(s.dieAt):
	case first.IsZero():
		s.do(StopTimer{ttlTimer})
	default:
		s.do(StartTimer{ttlTimer, max(first.Sub(s.now), 0)})
	}
	s.dieAt = first
}

// die removes what was not renewed in time, as if the server had.
func (s *Session) die() {
	s.dieAt = time.Time{}
	var dead []*slot
	for o, t := range s.mortal {
		if t.slots[o.name] == o && !o.dies.IsZero() && !o.dies.After(s.now) {
			dead = append(dead, o)
		}
	}
	slices.SortFunc(dead, func(a, b *slot) int { return cmp.Compare(a.name, b.name) })
	for _, o := range dead {
		t := s.mortal[o]
		s.log(Warn, "%s was not renewed: its time to live of %v is over", quote(t.noun, o.name), o.ttl)
		s.remove(t, o.name)
	}
	s.armTTL()
	s.settle()
}
