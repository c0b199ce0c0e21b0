// Package headermutation is envoy.filters.http.header_mutation: it adds, sets and
// removes header fields of requests and responses where it stands in the chain.
package headermutation

import (
	"sync"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// mutations are the changes of one level, in order. They are immutable.
type mutations struct {
	request, response []step
	general           *mutations // of the next more general level of the routes; nil at the last
}

// Over implements route.Layered: Envoy evaluates every level.
func (m *mutations) Over(general any) any {
	g, _ := general.(*mutations)
	return &mutations{m.request, m.response, g}
}

// A step is one change: a field to add or remove, or names to match.
type step struct {
	change *route.Mutations
	remove *match.String // when set: remove_on_match
}

// filter is one header mutation filter of a chain.
type filter struct {
	name     string
	cfg      *mutations
	reverse  bool // most_specific_header_mutations_wins: the general levels first
	hostname string
	names    sync.Pool // of *[]byte: names in lower case
}

var (
	_ filters.RequestHeaders  = (*filter)(nil)
	_ filters.ResponseHeaders = (*filter)(nil)
)

// OnRequestHeaders implements filters.RequestHeaders.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	v := route.Vars{Conn: &s.Conn.Info, Stream: &s.Info, Request: &s.Request, Hostname: f.hostname}
	f.apply(f.cfg.request, &s.Request, &v)
	f.ofRoute(s).each(f.reverse, func(m *mutations) { f.apply(m.request, &s.Request, &v) })
	return filters.Continue
}

// OnResponseHeaders implements filters.ResponseHeaders.
func (f *filter) OnResponseHeaders(s *stream.Stream) filters.Verdict {
	v := route.Vars{Conn: &s.Conn.Info, Stream: &s.Info, Request: &s.Request, Response: &s.Response, Hostname: f.hostname}
	f.apply(f.cfg.response, &s.Response, &v)
	f.ofRoute(s).each(f.reverse, func(m *mutations) { f.apply(m.response, &s.Response, &v) })
	return filters.Continue
}

// each goes through the levels, from the most specific unless reverse is set.
func (m *mutations) each(reverse bool, do func(*mutations)) {
	if m == nil {
		return
	}
	if reverse {
		m.general.each(reverse, do)
	}
	do(m)
	if !reverse {
		m.general.each(reverse, do)
	}
}

// ofRoute gives the route's changes, which come after the filter's own.
func (f *filter) ofRoute(s *stream.Stream) *mutations {
	if v, ok := s.RouteConfig(f.name); ok {
		m, _ := v.(*mutations)
		return m
	}
	return nil
}

func (f *filter) apply(steps []step, h *header.Headers, v *route.Vars) {
	for i := range steps {
		if st := &steps[i]; st.remove != nil {
			f.removeMatching(h, st.remove)
		} else {
			st.change.Apply(h, v)
		}
	}
}

// removeMatching removes the fields whose name, in lower case, matches. What the
// message cannot be without stays.
func (f *filter) removeMatching(h *header.Headers, m *match.String) {
	room, ok := f.names.Get().(*[]byte)
	if !ok {
		room = new([]byte)
	}
	for i := h.Len() - 1; i >= 0; i-- {
		name, _ := h.At(i)
		if len(name) > 0 && name[0] == ':' || h.IDAt(i) == header.IDAuthority {
			continue
		}
		lower := append((*room)[:0], name...)
		for k, c := range lower {
			if 'A' <= c && c <= 'Z' {
				lower[k] = c + 'a' - 'A'
			}
		}
		*room = lower
		if m.Match(lower) {
			h.DelAt(i)
		}
	}
	f.names.Put(room)
}
