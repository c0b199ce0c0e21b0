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
}

// secretPublisher keeps the statistics of secrets as they come and go.
type secretPublisher struct {
	store *stats.Store
	now   map[string]*publishedSecret // by key
}

type publishedSecret struct {
	scope *stats.Scope
	stats *secretStats
	seen  bool
}

func newSecretPublisher(store *stats.Store) *secretPublisher {
	return &secretPublisher{store: store, now: map[string]*publishedSecret{}}
}

func (p *secretPublisher) publish(all []xds.SecretStatus) {
	for _, s := range all {
		e := p.now[s.Key]
		if e == nil {
			e = &publishedSecret{scope: p.store.Scope("sds", s.Name)}
			e.stats = stats.Fill[secretStats](e.scope)
			p.now[s.Key] = e
		}
		e.seen = true
		catchUp(e.stats.Attempt, s.Attempt)
		catchUp(e.stats.Success, s.Success)
		catchUp(e.stats.Rejected, s.Rejected)
		catchUp(e.stats.Failure, s.Failure)
		catchUp(e.stats.FetchTimeout, s.FetchTimeout)
	}
	for key, e := range p.now {
		if !e.seen {
			e.scope.Close()
			delete(p.now, key)
		}
		e.seen = false
	}
}
