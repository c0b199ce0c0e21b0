package hcm

import (
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
)

// scoping is what chooses the route table: over the scopes of the configuration
// itself, whose tables may come by RDS, or over those that SRDS brings.
func scoping(c *Scopes, prefix string, bc *filters.BuildContext) *route.Scoping {
	g := &route.Scoping{Name: c.Name, Key: c.Key}
	if c.Source != "" {
		g.Live = bc.Scopes(c.Source, c.Routes, prefix, c.Name)
		return g
	}
	all := &route.Scopes{By: map[string]*route.LiveScope{}}
	for _, s := range c.Inline {
		l := &route.LiveScope{Scope: s, Routes: c.Routes}
		if s.Table != nil {
			l.Live = new(route.Live)
			l.Live.Store(s.Table)
		} else {
			l.Live = bc.Routes(s.TableRef(c.Routes).Key())
		}
		all.By[s.Key] = l
	}
	g.Live = new(route.LiveScopes)
	g.Live.Store(all)
	return g
}
