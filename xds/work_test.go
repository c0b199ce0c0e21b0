package xds

import (
	"fmt"
	"maps"
	"slices"
)

// recheck looks at everything there is, as if all had been marked, and says what comes out otherwise than by looking at what is marked
// only. It settles before: a step may leave over what the next one does, such as a listener that could go in because another, which
// was looked at later, brought its route. The actions are those of that.
func (s *Session) recheck() (more []Action, err error) {
	out := s.out
	defer func() { s.out = out }()
	for again := true; again; {
		s.out, again = nil, false
		s.settle()
		for _, a := range s.out {
			_, published := a.(Publish)
			again = again || published
		}
		more = append(more, s.out...)
	}
	asks, sums, slots := map[*typeState][]string{}, map[*typeState]tally{}, map[*typeState][]string{}
	for _, t := range s.types {
		asks[t], sums[t] = s.interest(t), t.sum
		slots[t] = slices.Sorted(maps.Keys(t.slots))
		t.restart()
	}
	s.moved, s.out = true, nil
	if next := s.assemble(); next != nil {
		return more, fmt.Errorf("another snapshot: %+v", next)
	}
	for _, a := range s.out {
		return more, fmt.Errorf("one more action: %T %+v", a, a)
	}
	for _, t := range s.types {
		switch now := s.interest(t); {
		case !slices.Equal(now, asks[t]):
			return more, fmt.Errorf("%s is subscribed to %q, and all there is refers to %q", t.short, asks[t], now)
		case t.sum != sums[t]:
			return more, fmt.Errorf("%s: counted %+v, there are %+v", t.short, sums[t], t.sum)
		}
		if now := slices.Sorted(maps.Keys(t.slots)); !slices.Equal(now, slots[t]) {
			return more, fmt.Errorf("%s has slots %q, needs %q", t.short, slots[t], now)
		}
	}
	return more, nil
}
