package xds

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// typeStates are some of a session's types.
type typeStates []*typeState

// find gives the one of a type URL, nil when it is not among them.
func (l typeStates) find(url string) *typeState {
	for _, t := range l {
		if t.url == url {
			return t
		}
	}
	return nil
}

// served gives what a source serves.
func (s *Session) served(source int) (out typeStates) {
	for _, t := range s.types {
		if t.source == source {
			out = append(out, t)
		}
	}
	return out
}

// ofKind gives the states of a type: one for where its resources come from, and one for each source that references name.
func (s *Session) ofKind(k kind) typeStates {
	out := typeStates{s.types[k]}
	for _, t := range s.types[kinds:] {
		if t.k == k {
			out = append(out, t)
		}
	}
	return out
}

// typeFor gives the state that has, or is to have, what a reference names; nil for references that nothing serves.
func (s *Session) typeFor(ref extension.Ref) *typeState {
	k, ok := kindOf(ref.TypeURL)
	switch {
	case !ok:
		return nil
	case !own(ref.Source):
		return s.types[k]
	}
	return s.extra[origin{k, ref.Source.Stream()}]
}

// origin is a source that references name, and the kind of what comes from it.
type origin struct {
	k    kind
	from extension.Source
}

// owners are the states of the types whose resources refer to those of t.
func (s *Session) owners(t *typeState) (out typeStates) {
	for _, k := range t.owner {
		out = append(out, s.ofKind(k)...)
	}
	return out
}

// own says that a source is opened for the references that name it.
func own(src extension.Source) bool { return src.Stream() != extension.Source{} && !src.Static }

// defaultFetch is initial_fetch_timeout where none is set.
const defaultFetch = 15 * time.Second

// moveSources opens the sources that references name for the first time, and closes those that none names any more. References
// of a type that name the same source share it, whatever their initial_fetch_timeout.
func (s *Session) moveSources() {
	for s.moved { // what comes from a source that is closed may have named others
		s.moved = false
		named := s.origins()
		var fresh []origin
		for o := range named {
			if s.extra[o] == nil {
				fresh = append(fresh, o)
			}
		}
		slices.SortFunc(fresh, func(a, b origin) int {
			return cmp.Or(cmp.Compare(a.k, b.k), strings.Compare(a.from.String(), b.from.String()))
		})
		for _, o := range fresh {
			s.open(o)
		}
		for _, t := range slices.Clone(s.types[kinds:]) {
			if !named[origin{t.k, t.from}] {
				s.close(t)
			}
		}
	}
}

// origins are the sources that references name.
func (s *Session) origins() map[origin]bool {
	named := map[origin]bool{}
	for _, ref := range s.o.Roots {
		if k, ok := kindOf(ref.TypeURL); ok && own(ref.Source) {
			named[origin{k, ref.Source.Stream()}] = true
		}
	}
	for _, t := range s.types {
		if len(t.pins) > 0 && own(t.from) {
			named[origin{t.k, t.from}] = true
		}
		for _, o := range t.slots {
			for _, r := range [...]*config.Resource{o.want, o.live} {
				if r == nil {
					continue
				}
				for _, ref := range r.Refs {
					if k, ok := kindOf(ref.TypeURL); ok && own(ref.Source) {
						named[origin{k, ref.Source.Stream()}] = true
					}
				}
			}
		}
	}
	return named
}

// open begins to listen to a source that references name.
func (s *Session) open(o origin) {
	src := o.from
	i, name := len(s.sources), src.String()
	taken := func(c *sourceState) bool { return c != nil && c.Name == name }
	if slices.ContainsFunc(s.sources, taken) {
		name += " for " + rows[o.k].short
	}
	if slices.ContainsFunc(s.sources, taken) {
		name += " #" + strconv.Itoa(i)
	}
	s.sources = append(s.sources, &sourceState{
		Source: Source{Name: name, File: src.Path != "", Delta: src.Delta, NodeAlways: src.NodeAlways}, opened: true, since: s.now,
	})
	t := newTypeState(o.k)
	t.wild = false
	t.from, t.source, t.fetch, t.stale, t.answered = src, i, defaultFetch, true, true
	s.types = append(s.types, t)
	s.extra[o] = t
	s.do(Open{i, t.url, src})
	s.do(Connect{i})
}

// close forgets a source and what it brought.
func (s *Session) close(t *typeState) {
	c := s.sources[t.source]
	if t.held {
		s.do(StopTimer{nackTimer(t)})
	}
	if !t.answered && t.wild && t.fetch > 0 {
		s.do(StopTimer{fetchTimer(t)})
	}
	if !c.File && !c.connected {
		s.do(StopTimer{c.timer()})
	}
	s.do(Close{t.source})
	s.gone[t.k].add(t.counters)
	s.sources[t.source] = nil
	delete(s.extra, origin{t.k, t.from})
	s.touched(t.k)
	// A new slice: the old one may be looked through at this moment.
	s.types = slices.DeleteFunc(slices.Clone(s.types), func(o *typeState) bool { return o == t })
}
