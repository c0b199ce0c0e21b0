package route

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// Scopes are the scopes in force at one moment, by key. They are immutable.
type Scopes struct {
	By map[string]*LiveScope
}

// A LiveScope is a scope, and where its table is at any moment.
type LiveScope struct {
	*Scope
	Live   *Live
	Routes extension.Source // where its table comes from when RDS brings it
}

// LiveScopes are the scopes that streams look at: what an SRDS update swaps.
type LiveScopes struct{ p atomic.Pointer[Scopes] }

// Load gives the current scopes; nil before the first Store.
func (l *LiveScopes) Load() *Scopes { return l.p.Load() }

// Store replaces them for streams that begin from now on.
func (l *LiveScopes) Store(s *Scopes) { l.p.Store(s) }

// Scoping chooses the scope of a request (Envoy: ScopedRoutes). It is immutable but for what Live holds.
type Scoping struct {
	Name string // scoped_routes.name
	Key  ScopeKey
	Live *LiveScopes
}

// Find gives the scope of a request, nil when it has no key or no scope has its key. buf is memory for the key, which is given back.
// With a trace the answer is the same, and the trace says why.
func (g *Scoping) Find(h *header.Headers, buf []byte, tr *match.Trace) (*LiveScope, []byte) {
	key, ok := g.Key.Append(buf[:0], h)
	if !ok {
		if tr != nil {
			tr.Note(false, "scope", "the request lacks %s", g.Key[g.missing(h)].name)
		}
		return nil, key
	}
	var s *LiveScope
	if all := g.Live.Load(); all != nil {
		s = all.By[string(key)]
	}
	if tr != nil {
		if s == nil {
			tr.Note(false, "scope", "none has the key %s", g.words(h))
		} else {
			tr.Note(true, "scope "+strconv.Quote(s.Name), "its key is %s", g.words(h))
		}
	}
	return s, key
}

// missing is the first part of the key that a request lacks.
func (g *Scoping) missing(h *header.Headers) int {
	for i := range g.Key {
		if _, ok := g.Key[i].of(h); !ok {
			return i
		}
	}
	return 0
}

// words writes a request's key for people.
func (g *Scoping) words(h *header.Headers) string {
	var parts []string
	for i := range g.Key {
		f, _ := g.Key[i].of(h)
		parts = append(parts, strconv.Quote(string(f)))
	}
	return strings.Join(parts, ", ")
}
