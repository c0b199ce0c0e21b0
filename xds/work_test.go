package xds

import (
	"fmt"
	"maps"
	"slices"
)

// recheck looks at everything there is, as if all had been marked, and says what comes out otherwise than in the last step, which
// looked at what was marked only. The actions are those of timers: a route that has just lost its last listener begins to wait for
// clusters in the step after.
func (s *Session) recheck() (timers []Action, err error) {
	out, asks, sums := s.out, map[*typeState][]string{}, map[*typeState]tally{}
	slots := map[*typeState][]string{}
	for _, t := range s.types {
		asks[t], sums[t] = s.interest(t), t.sum
		slots[t] = slices.Sorted(maps.Keys(t.slots))
		t.restart()
	}
	s.moved, s.out = true, nil
	defer func() { s.out = out }()
	if next := s.assemble(); next != nil {
		return nil, fmt.Errorf("another snapshot: %+v", next)
	}
	for _, a := range s.out {
		switch a.(type) {
		case StartTimer, StopTimer:
			timers = append(timers, a)
			continue
		}
		return nil, fmt.Errorf("one more action: %T %+v", a, a)
	}
	for _, t := range s.types {
		sum := sums[t]
		sum.warming = t.sum.warming
		switch now := s.interest(t); {
		case !slices.Equal(now, asks[t]):
			return nil, fmt.Errorf("%s is subscribed to %q, and all there is refers to %q", t.short, asks[t], now)
		case t.sum != sum:
			return nil, fmt.Errorf("%s: counted %+v, there are %+v", t.short, sums[t], t.sum)
		}
		if now := slices.Sorted(maps.Keys(t.slots)); !slices.Equal(now, slots[t]) {
			return nil, fmt.Errorf("%s has slots %q, needs %q", t.short, slots[t], now)
		}
	}
	return timers, nil
}
