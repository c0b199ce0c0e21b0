package xds

import (
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
	case k != sds:
		return nil
	}
	return s.extra[ref.Source]
}

// own says that a source is opened for the references that name it.
func own(src extension.Source) bool { return src != extension.Source{} && !src.Static }

// moveSources opens the sources that references name for the first time, and closes those that none names any more.
func (s *Session) moveSources() {
	if !s.moved {
		return
	}
	s.moved = false
	named := map[extension.Source]bool{}
	for _, owner := range rows[sds].owner {
		for _, o := range s.types[owner].slots {
			for _, r := range [...]*config.Resource{o.want, o.live} {
				if r == nil {
					continue
				}
				for _, ref := range r.Refs {
					if ref.TypeURL == SecretType && own(ref.Source) {
						named[ref.Source] = true
					}
				}
			}
		}
	}
	var fresh []extension.Source
	for src := range named {
		if s.extra[src] == nil {
			fresh = append(fresh, src)
		}
	}
	slices.SortFunc(fresh, func(a, b extension.Source) int { return strings.Compare(a.String(), b.String()) })
	for _, src := range fresh {
		s.open(src)
	}
	for _, t := range slices.Clone(s.types[kinds:]) {
		if !named[t.from] {
			s.close(t)
		}
	}
}

// open begins to listen to a source of secrets.
func (s *Session) open(src extension.Source) {
	i, name := len(s.sources), src.String()
	if slices.ContainsFunc(s.sources, func(c *sourceState) bool { return c != nil && c.Name == name }) {
		name += " #" + strconv.Itoa(i)
	}
	s.sources = append(s.sources, &sourceState{
		Source: Source{Name: name, File: src.Path != "", Delta: src.Delta, NodeAlways: src.NodeAlways}, opened: true, since: s.now,
	})
	t := newTypeState(sds)
	t.from, t.source, t.fetch, t.stale, t.answered = src, i, defaulted(src.FetchTimeout, 15*time.Second), true, true
	s.types = append(s.types, t)
	s.extra[src] = t
	s.do(Open{i, src})
	s.do(Connect{i})
}

// close forgets a source and what it brought.
func (s *Session) close(t *typeState) {
	c := s.sources[t.source]
	if t.held {
		s.do(StopTimer{nackTimer(t)})
	}
	if !c.File && !c.connected {
		s.do(StopTimer{c.timer()})
	}
	s.do(Close{t.source})
	s.gone[t.k].add(t.counters)
	s.sources[t.source] = nil
	delete(s.extra, t.from)
	// A new slice: the old one may be looked through at this moment.
	s.types = slices.DeleteFunc(slices.Clone(s.types), func(o *typeState) bool { return o == t })
}
