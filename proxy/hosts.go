package proxy

import (
	"strings"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
)

// discovered are the virtual hosts of a snapshot that were discovered by themselves:
// by the route configuration that they are part of, and where they come from.
type discovered map[hostsKey][]*config.Resource

type hostsKey struct{ table, from string }

// hostsOf sorts the virtual hosts of s. What stands before the last slash of a name is
// that of the route configuration (Envoy: namespace matching).
func hostsOf(s *config.Snapshot) discovered {
	if len(s.Hosts) == 0 {
		return nil
	}
	d := discovered{}
	for key, r := range s.Hosts {
		if i := strings.LastIndexByte(r.Name, '/'); i >= 0 {
			k := hostsKey{r.Name[:i], strings.TrimPrefix(key, r.Name)}
			d[k] = append(d[k], r)
		}
	}
	return d
}

// swap puts a table in force, with the virtual hosts that were discovered for it. Of
// these only what changed is made anew.
func (l *liveRoute) swap(p *Proxy, r *config.Resource, t *route.Table, all discovered) {
	if !t.Discovers {
		if l.from != r {
			l.from, l.hosts = r, nil
			l.Store(t)
		}
		return
	}
	from := strings.TrimPrefix(extension.Ref{Name: "*", Source: t.From}.Key(), "*")
	now := all[hostsKey{t.Name, from}]
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
