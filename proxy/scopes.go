package proxy

import (
	"strings"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/stats"
)

// ScopeStats count the scopes of a connection manager, under
// http.<stat_prefix>.scoped_rds.<name>. (Envoy: scoped RDS statistics).
type ScopeStats struct {
	All      *stats.Gauge   `stat:"all_scopes"`
	OnDemand *stats.Gauge   `stat:"on_demand_scopes"`
	Reload   *stats.Counter `stat:"config_reload"`
}

// scopesAt says where scopes come from, and where their routes do.
type scopesAt struct {
	source string
	routes extension.Source
}

// scopesIn are the scopes of a snapshot, by source and key.
type scopesIn struct {
	snapshot *config.Snapshot
	by       map[string]map[string]*config.Resource
}

// liveScopes are the scopes of one source of SRDS, with tables of one source of RDS.
type liveScopes struct {
	route.LiveScopes
	from  map[string]*config.Resource // by key
	made  map[string]*route.LiveScope // likewise
	stats map[[2]string]*ScopeStats   // of those who look here, by stat_prefix and name
}

// applyScopes swaps the scopes of the sources where one changed. The tables behind
// them are swapped by themselves.
func (p *Proxy) applyScopes(s *config.Snapshot) {
	by := map[string]map[string]*config.Resource{}
	for key, r := range s.Scopes {
		source := "*" + strings.TrimPrefix(key, r.Name)
		if by[source] == nil {
			by[source] = map[string]*config.Resource{}
		}
		by[source][key] = r
	}
	p.scoped = scopesIn{s, by}
	for at, l := range p.scopes {
		if l.swap(p, at) {
			for _, st := range l.stats {
				l.count(st)
				st.Reload.Inc()
			}
		}
	}
}

func (l *liveScopes) count(st *ScopeStats) {
	onDemand := 0
	for _, x := range l.made {
		if x.OnDemand {
			onDemand++
		}
	}
	st.All.Set(int64(len(l.made)))
	st.OnDemand.Set(int64(onDemand))
}

// countedScopes gives the scopes of a source, and counts them for a connection
// manager; p.mu is held.
func (p *Proxy) countedScopes(source string, routes extension.Source, prefix, name string) *route.LiveScopes {
	l, k := p.liveScopes(scopesAt{source, routes}), [2]string{prefix, name}
	if l.stats[k] == nil {
		l.stats[k] = stats.Fill[ScopeStats](p.scope.Scope("http", prefix, "scoped_rds", name))
	}
	l.count(l.stats[k])
	return &l.LiveScopes
}

// swap puts the scopes of one source in force; it tells whether there was a change.
func (l *liveScopes) swap(p *Proxy, at scopesAt) bool {
	s, now := p.scoped.snapshot, p.scoped.by[at.source]
	same := len(now) == len(l.from)
	for key, r := range now {
		same = same && l.from[key] == r
	}
	if same {
		return false
	}
	made := make(map[string]*route.LiveScope, len(now))
	all := &route.Scopes{By: make(map[string]*route.LiveScope, len(now))}
	for key, r := range now {
		x := l.made[key]
		if x == nil || l.from[key] != r {
			x = &route.LiveScope{Scope: s.Scope(key), Routes: at.routes}
			if x.Table != nil {
				x.Live = new(route.Live)
				x.Live.Store(x.Table)
			} else {
				x.Live = &p.liveRoute(x.TableRef(at.routes).Key()).Live
			}
		}
		made[key], all.By[x.Key] = x, x
	}
	l.from, l.made = now, made
	l.Store(all)
	return true
}

func (p *Proxy) liveScopes(at scopesAt) *liveScopes {
	l := p.scopes[at]
	if l == nil {
		l = &liveScopes{stats: map[[2]string]*ScopeStats{}}
		p.scopes[at] = l
		l.Store(&route.Scopes{})
		if p.scoped.snapshot != nil {
			l.swap(p, at)
		}
	}
	return l
}
