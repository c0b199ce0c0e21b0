package xds

import (
	"time"

	"github.com/weirproxy/weir/config/extension"
)

// Roots are what the bootstrap itself refers to: the runtime layers. They are asked for from the start on, and no listener serves
// before each had a first answer, good or bad, or is no longer waited for (Envoy: RTDS comes before listeners).

// addRoots adds the names of the roots that t brings.
func (s *Session) addRoots(t *typeState, set map[string]struct{}) map[string]struct{} {
	if t.k == rtds {
		for _, ref := range s.o.Roots {
			if s.typeFor(ref) == t {
				set[ref.Name] = struct{}{}
			}
		}
	}
	return set
}

// missingRoot names the first root that is still waited for.
func (s *Session) missingRoot() string {
	for _, ref := range s.o.Roots {
		t := s.typeFor(ref)
		if t == nil || t.source < 0 {
			continue
		}
		if c, o := s.sources[t.source], t.slots[ref.Name]; o == nil || !o.heard && (!c.File || c.err == "") {
			return refWord(ref)
		}
	}
	return ""
}

// rootDeadline says when a root that did not come is given up; zero is never, which the deadline of the listeners bounds.
func (s *Session) rootDeadline(t *typeState, o *slot) time.Time {
	if o.heard || t.source < 0 {
		return time.Time{}
	}
	d := t.fetch
	for _, ref := range s.o.Roots {
		if f := ref.Source.FetchTimeout; f != 0 && ref.Name == o.name && s.typeFor(ref) == t {
			d = max(f, 0)
		}
	}
	if d == 0 {
		return time.Time{}
	}
	return o.since.Add(d)
}

// giveUp ends the wait for a root.
func (s *Session) giveUp(t *typeState, o *slot) {
	o.heard = true
	t.counters.FetchTimeout++
	o.count(Counters{FetchTimeout: 1})
	s.log(Warn, "%s did not come in %v, its values are not in force", refWord(extension.Ref{TypeURL: t.url, Name: o.name}),
		s.now.Sub(o.since).Round(time.Millisecond))
}

// keepRuntime gives the runtime layers, at once.
func (s *Session) keepRuntime() {
	for _, t := range s.ofKind(rtds) {
		used := s.referred(t)
		for _, o := range t.slots {
			o.next = nil
			if _, ok := used[o.name]; ok {
				o.next = o.want
			}
		}
	}
}
