package h2

import "time"

// trimEvery is how long a spare may be unneeded.
const trimEvery = time.Second

// spares are things that wait to be used again on their connection, so that in
// steady state none is made. Those that were not needed for a while go. Guarded by
// core's mutex.
type spares[T any] struct {
	list []T
	low  int       // the fewest there were since the last trim
	trim time.Time // when those too many go; zero while nothing is looked at
}

// take gives the one that was used last.
func (s *spares[T]) take() (v T, ok bool) {
	n := len(s.list) - 1
	if n < 0 {
		return v, false
	}
	v = s.list[n]
	s.list = s.list[:n]
	s.low = min(s.low, n)
	return v, true
}

// put takes one back.
func (s *spares[T]) put(v T, a *alarm) {
	s.list = append(s.list, v)
	if s.trim.IsZero() {
		s.low = 0
		s.trim = time.Now().Add(trimEvery)
		a.by(s.trim)
	}
}

// drop removes the n that waited longest; let is called with each.
func (s *spares[T]) drop(n int, let func(T)) {
	if n == 0 {
		return
	}
	for _, v := range s.list[:n] {
		let(v)
	}
	kept := copy(s.list, s.list[n:])
	clear(s.list[kept:])
	s.list = s.list[:kept]
}

// due trims and gives when to do so next.
func (s *spares[T]) due(now time.Time, let func(T)) time.Time {
	if s.trim.IsZero() || now.Before(s.trim) {
		return s.trim
	}
	s.drop(min(s.low, len(s.list)), let)
	s.low = len(s.list)
	s.trim = time.Time{}
	if s.low > 0 {
		s.trim = now.Add(trimEvery)
	}
	return s.trim
}
