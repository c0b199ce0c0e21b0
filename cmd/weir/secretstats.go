package main

import (
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
)

// secretStats are about one secret, under sds.<name>. (Envoy: SDS statistics).
type secretStats struct {
	Attempt      *stats.Counter `stat:"update_attempt"`
	Success      *stats.Counter `stat:"update_success"`
	Rejected     *stats.Counter `stat:"update_rejected"`
	Failure      *stats.Counter `stat:"update_failure"`
	FetchTimeout *stats.Counter `stat:"init_fetch_timeout"`
	Version      *stats.Gauge   `stat:"version"` // stats.Hash of the version, which version_text is
}

// secretPublisher keeps the statistics of secrets as they come and go.
type secretPublisher struct {
	store *stats.Store
	now   map[string]*publishedSecret // by key
}

type publishedSecret struct {
	scope   *stats.Scope
	to      *secretStats
	version *stats.Text
	updates *copiedUpdates
	seen    bool
}

func newSecretPublisher(store *stats.Store) *secretPublisher {
	return &secretPublisher{store: store, now: map[string]*publishedSecret{}}
}

func (p *secretPublisher) publish(all []xds.SecretStatus) {
	for _, s := range all {
		e := p.now[s.Key]
		if e == nil {
			e = &publishedSecret{scope: p.store.Scope("sds", s.Name)}
			st := stats.Fill[secretStats](e.scope)
			e.to, e.version = st, e.scope.Text("version_text")
			e.updates = newCopiedUpdates(st.Attempt, st.Success, st.Rejected, st.Failure, st.FetchTimeout)
			p.now[s.Key] = e
		}
		e.seen = true
		e.updates.set(s.Counters)
		e.to.Version.Set(stats.Hash(s.Version))
		e.version.Set(s.Version)
	}
	for key, e := range p.now {
		if !e.seen {
			e.scope.Close()
			delete(p.now, key)
		}
		e.seen = false
	}
}
