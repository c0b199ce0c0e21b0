package xds

import (
	"cmp"
	"slices"
	"time"
)

// deadline says when a waiting slot stops to wait; zero is never. What is fetched is waited for no longer than the longest
// initial_fetch_timeout of what is missing.
func (s *Session) deadline(t *typeState, o *slot) time.Time {
	if t.k == rtds {
		return s.rootDeadline(t, o)
	}
	if o.waits == "" || o.expired {
		return time.Time{}
	}
	d := s.o.WarmingDeadline
	if f := s.patience(o); f > 0 && (d == 0 || f < d) {
		d = f
	}
	if d == 0 {
		return time.Time{}
	}
	return o.since.Add(d)
}

// patience is the longest initial_fetch_timeout of what a new version refers to and does not find; 0 is for ever, or that it finds all.
func (s *Session) patience(o *slot) (d time.Duration) {
	if o.want == nil {
		return 0
	}
	for _, ref := range o.want.Refs {
		t := s.typeFor(ref)
		if t == nil || t.source < 0 {
			continue
		}
		if r := t.slots[ref.Name]; r != nil && r.want != nil {
			continue
		}
		f := t.fetch
		if own := ref.Source.FetchTimeout; own != 0 {
			f = max(own, 0)
		}
		if f == 0 {
			return 0
		}
		d = max(d, f)
	}
	return d
}

// arm keeps the warming timer at the earliest deadline.
func (s *Session) arm() {
	var first time.Time
	for _, t := range s.types {
		for o := range t.work() {
			if d := s.deadline(t, o); !d.IsZero() && (first.IsZero() || d.Before(first)) {
				first = d
			}
		}
	}
	switch {
	case first.Equal(s.warmAt):
	case first.IsZero():
		s.do(StopTimer{warmingTimer})
	default:
		s.do(StartTimer{warmingTimer, max(first.Sub(s.now), 0)})
	}
	s.warmAt = first
}

// expire ends the waits whose deadline has come, and says what each waited for.
func (s *Session) expire() {
	s.warmAt = time.Time{}
	for _, t := range s.types {
		var late []*slot
		for o := range t.work() {
			if d := s.deadline(t, o); !d.IsZero() && !d.After(s.now) {
				late = append(late, o)
			}
		}
		slices.SortFunc(late, func(a, b *slot) int { return cmp.Compare(a.name, b.name) })
		for _, o := range late {
			if t.k == rtds {
				s.giveUp(t, o)
				continue
			}
			o.expired = true
			after := s.now.Sub(o.since).Round(time.Millisecond)
			if o.want == nil {
				s.log(Warn, "%s is removed after %v: was held: %s", quote(t.noun, o.name), after, o.waits)
				continue
			}
			s.countFetch(o)
			s.log(Warn, "%s goes in after %v without %s", quote(t.noun, o.name), after, o.waits)
		}
	}
	s.settle()
}

// countFetch counts the names that a late resource refers to and that never came.
func (s *Session) countFetch(o *slot) {
	for _, ref := range o.want.Refs {
		if t := s.typeFor(ref); t != nil {
			if r := t.slots[ref.Name]; r == nil || r.want == nil {
				t.counters.FetchTimeout++
				if r != nil {
					r.count(Counters{FetchTimeout: 1})
				}
			}
		}
	}
}
