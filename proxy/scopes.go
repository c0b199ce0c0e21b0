package proxy

import (
	"strings"

	"github.com/weirproxy/weir/config"
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

// liveScopes are the scopes of one source of SRDS.
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
	for source := range p.scopes {
		if by[source] == nil {
			by[source] = map[string]*config.Resource{}
		}
	}
	for source, now := range by {
		if l := p.liveScopes(source); l.swap(p, s, now) {
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
func (p *Proxy) countedScopes(source, prefix, name string) *route.LiveScopes {
	l, k := p.liveScopes(source), [2]string{prefix, name}
	if l.stats[k] == nil {
		l.stats[k] = stats.Fill[ScopeStats](p.scope.Scope("http", prefix, "scoped_rds", name))
	}
	l.count(l.stats[k])
	return &l.LiveScopes
}

// swap puts the scopes of one source in force; it tells whether there was a change.
func (l *liveScopes) swap(p *Proxy, s *config.Snapshot, now map[string]*config.Resource) bool {
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
			x = &route.LiveScope{Scope: s.Scope(key)}
			if x.Table != nil {
				x.Live = new(route.Live)
				x.Live.Store(x.Table)
			} else {
				x.Live = &p.liveRoute(x.RouteName).Live
			}
		}
		made[key], all.By[x.Key] = x, x
	}
	l.from, l.made = now, made
	l.Store(all)
	return true
}

func (p *Proxy) liveScopes(source string) *liveScopes {
	l := p.scopes[source]
	if l == nil {
		l = &liveScopes{stats: map[[2]string]*ScopeStats{}}
		p.scopes[source] = l
	}
	return l
}
