package proxy

import (
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
)

// liveExtension is a discovered configuration that filter chains look at, by key.
type liveExtension struct {
	extension.Live
	from *config.Resource
}

// applyExtensions swaps the discovered configurations that changed: the filters of
// running chains are built anew, for streams and connections to come.
func (p *Proxy) applyExtensions(s *config.Snapshot) {
	for key, r := range s.Extensions {
		l := p.liveExtension(key)
		if l.from == r {
			continue
		}
		l.from = r
		e := s.Extension(key)
		stats.Fill[filters.DiscoveryStats](filters.DiscoveryScope(p.scope, e.Factory.Kind, r.Name)).Reload.Inc()
		l.Store(e)
	}
	wanted := map[string]bool{}
	for _, owners := range []map[string]*config.Resource{s.Listeners, s.Extensions} {
		for _, r := range owners {
			for _, ref := range r.Refs {
				if ref.TypeURL == config.ExtensionURL {
					wanted[ref.Key()] = true
				}
			}
		}
	}
	for key, l := range p.extensions {
		if s.Extensions[key] != nil {
			continue
		}
		if l.from != nil && wanted[key] { // removed: back to the default. Chains that drain keep what they have.
			l.from = nil
			l.Store(nil)
		}
		if !wanted[key] {
			delete(p.extensions, key) // no chain will look here again
		}
	}
}

func (p *Proxy) liveExtension(key string) *liveExtension {
	l := p.extensions[key]
	if l == nil {
		l = new(liveExtension)
		p.extensions[key] = l
	}
	return l
}
