package main

import (
	"strings"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
)

// extensionStats are about one discovered configuration of a filter, beside what the data
// plane counts of it (filters.DiscoveryStats).
type extensionStats struct {
	Attempt      *stats.Counter `stat:"update_attempt"`
	Success      *stats.Counter `stat:"update_success"`
	Rejected     *stats.Counter `stat:"update_rejected"`
	Failure      *stats.Counter `stat:"update_failure"`
	FetchTimeout *stats.Counter `stat:"init_fetch_timeout"`
	Fail         *stats.Counter `stat:"config_fail"`
}

// extensionPublisher keeps them; they stay when the configuration is no longer asked for,
// as those of the data plane do.
type extensionPublisher struct {
	root     *stats.Scope
	registry *extension.Registry
	now      map[string]*publishedExtension // by key
}

type publishedExtension struct {
	updates *copiedUpdates
	fail    copied
}

func newExtensionPublisher(root *stats.Scope, r *extension.Registry) *extensionPublisher {
	return &extensionPublisher{root: root, registry: r, now: map[string]*publishedExtension{}}
}

func (p *extensionPublisher) publish(all []xds.SecretStatus) {
	for _, s := range all {
		e := p.now[s.Key]
		if e == nil {
			k, ok := p.kind(s.Types)
			if !ok {
				continue
			}
			st := stats.Fill[extensionStats](filters.DiscoveryScope(p.root, k, s.Name))
			e = &publishedExtension{
				updates: newCopiedUpdates(st.Attempt, st.Success, st.Rejected, st.Failure, st.FetchTimeout), fail: copied{to: st.Fail},
			}
			p.now[s.Key] = e
		}
		e.updates.set(s.Counters)
		// Envoy: onConfigUpdateFailed, whatever the reason.
		e.fail.set(s.Rejected + s.Failure + s.FetchTimeout)
	}
}

// kind tells what filters the type URLs are of.
func (p *extensionPublisher) kind(types string) (extension.Kind, bool) {
	for _, u := range strings.Fields(types) {
		for _, k := range []extension.Kind{extension.HTTPFilter, extension.NetworkFilter, extension.ListenerFilter} {
			if _, ok := p.registry.ByType(k, u); ok {
				return k, true
			}
		}
	}
	return "", false
}
