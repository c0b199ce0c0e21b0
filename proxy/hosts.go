package proxy

import (
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/route"
)

// swap puts a table in force, with the virtual hosts that were discovered for it. Of
// these only what changed is made anew.
func (l *liveRoute) swap(p *Proxy, r *config.Resource, t *route.Table, all config.Discovered) {
	if !t.Discovers {
		if l.from != r {
			l.from, l.hosts = r, nil
			l.Store(t)
		}
		return
	}
	now := all.Of(t)
	same := l.from == r && len(now) == len(l.hosts)
	made := make(map[*config.Resource]*route.VirtualHost, len(now))
	list := make([]*route.VirtualHost, 0, len(now))
	for _, x := range now {
		vh := l.hosts[x]
		if vh == nil || l.from != r {
			h, ok := x.Value.(*route.Hosts)
			if !ok {
				continue
			}
			vh, same = t.Adopt(h), false
		}
		made[x] = vh
		list = append(list, vh)
	}
	if same {
		return
	}
	l.from, l.hosts = r, made
	route.SortHosts(list)
	merged, clash := t.With(list)
	for _, err := range clash {
		p.log.Warn("discovered virtual host", zap.String("route", t.Name), zap.Error(err))
	}
	l.Store(merged)
}
