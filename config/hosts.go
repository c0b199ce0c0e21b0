package config

import (
	"strings"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
)

// Discovered are the virtual hosts of a snapshot that were discovered by themselves (VHDS), by the route configuration that they are
// part of and where they come from.
type Discovered map[hostsKey][]*Resource

type hostsKey struct{ table, from string }

// Discovered sorts the virtual hosts of a snapshot. What stands before the last slash of a name is that of the route configuration
// (Envoy: namespace matching).
func (s *Snapshot) Discovered() Discovered {
	if len(s.Hosts) == 0 {
		return nil
	}
	d := Discovered{}
	for key, r := range s.Hosts {
		if i := strings.LastIndexByte(r.Name, '/'); i >= 0 {
			k := hostsKey{r.Name[:i], strings.TrimPrefix(key, r.Name)}
			d[k] = append(d[k], r)
		}
	}
	return d
}

// Of gives the virtual hosts that a table discovers.
func (d Discovered) Of(t *route.Table) []*Resource {
	from := strings.TrimPrefix(extension.Ref{Name: "*", Source: t.From}.Key(), "*")
	return d[hostsKey{t.Name, from}]
}

// Table gives the route table of a key with the virtual hosts that it discovers; nil when there is none.
func (s *Snapshot) Table(key string, d Discovered) *route.Table {
	t := s.Route(key)
	if t == nil || !t.Discovers {
		return t
	}
	var list []*route.VirtualHost
	for _, r := range d.Of(t) {
		if h, ok := r.Value.(*route.Hosts); ok {
			list = append(list, t.Adopt(h))
		}
	}
	route.SortHosts(list)
	whole, _ := t.With(list) // whose domain another has is left out there
	return whole
}
