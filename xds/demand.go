package xds

import (
	"maps"
	"slices"

	"github.com/weirproxy/weir/config/extension"
)

// pin is a name that was asked for by itself (Envoy: on-demand discovery), and what was told of it last.
type pin struct{ known, found bool }

// pin subscribes to one name, and opens its source if that is one of its own. What is known already is told again.
func (s *Session) pin(ref extension.Ref) {
	k, ok := kindOf(ref.TypeURL)
	if !ok || ref.Name == "" || ref.Name == "*" {
		return
	}
	if o := (origin{k, ref.Source.Stream()}); own(ref.Source) && s.extra[o] == nil {
		s.open(o)
	}
	t := s.typeFor(ref)
	t.pins[ref.Name] = &pin{}
	t.restart()
	s.settle()
}

// unpin takes that back. What nothing else asks for goes, and so does a source that was opened for it.
func (s *Session) unpin(ref extension.Ref) {
	t := s.typeFor(ref)
	if t == nil || t.pins[ref.Name] == nil {
		return
	}
	delete(t.pins, ref.Name)
	delete(t.aliases, ref.Name)
	t.restart()
	s.moved = true
	if t.full && !t.wild {
		s.remove(t, ref.Name)
	}
	s.settle()
}

// pinned are the names of t's pins.
func (t *typeState) pinned() map[string]struct{} {
	set := make(map[string]struct{}, len(t.pins))
	for name := range t.pins {
		set[name] = struct{}{}
	}
	return set
}

// tell says what became of the names that were asked for by themselves, once, and again when it changes: a resource serves, or it is
// known that none will.
func (s *Session) tell() {
	for _, t := range s.types {
		if len(t.pins) == 0 {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(t.pins)) {
			p, o := t.pins[name], t.slots[name]
			if a, ok := t.aliases[name]; ok {
				o = t.slots[a]
			}
			found := o != nil && o.live != nil
			known := found || t.source < 0 || o != nil && o.want == nil && (o.gone || o.bad != nil)
			if known && (!p.known || p.found != found) {
				p.known, p.found = true, found
				s.do(Resolved{extension.Ref{TypeURL: t.url, Name: name, Source: t.from}, found})
			}
		}
	}
}
