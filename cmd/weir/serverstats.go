package main

import (
	"context"
	"runtime"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
)

// serverStats are about the process, under server. (Envoy: server statistics).
type serverStats struct {
	Live        *stats.Gauge `stat:"live"`        // 1 when LIVE
	State       *stats.Gauge `stat:"state"`       // 0 LIVE, 1 DRAINING, 3 INITIALIZING
	Uptime      *stats.Gauge `stat:"uptime"`      // seconds
	Concurrency *stats.Gauge `stat:"concurrency"` // threads that serve
	Version     *stats.Gauge `stat:"version"`     // stats_server_version_override, or what the revision begins with
}

// discoveryStats are about one type of resource, under cluster_manager.cds.,
// listener_manager.lds., runtime., and xds.eds., xds.rds. and xds.sds. (Envoy counts the
// latter by cluster, by connection manager and by secret). Rejected and Active are
// ours.
type discoveryStats struct {
	Attempt      *stats.Counter `stat:"update_attempt"`
	Success      *stats.Counter `stat:"update_success"`
	Rejected     *stats.Counter `stat:"update_rejected"`
	Failure      *stats.Counter `stat:"update_failure"`
	FetchTimeout *stats.Counter `stat:"init_fetch_timeout"`
	Bad          *stats.Gauge   `stat:"resources_rejected"` // whose last version was refused
	Active       *stats.Gauge   `stat:"resources_active"`   // that serve
}

// versionStats are about the version of clusters and of listeners, under cluster_manager.cds. and listener_manager.lds.
type versionStats struct {
	Version *stats.Gauge `stat:"version"` // stats.Hash of the version accepted last, which version_text is
}

// controlStats are about the control plane, under control_plane. Those after the
// first three are ours.
type controlStats struct {
	Connected   *stats.Gauge   `stat:"connected_state"`     // streams that are open
	Pending     *stats.Gauge   `stat:"pending_requests"`    // requests that wait for a rate limit
	RateLimited *stats.Counter `stat:"rate_limit_enforced"` // how often they did
	Warming     *stats.Gauge   `stat:"resources_warming"`
	Degraded    *stats.Gauge   `stat:"degraded_fields"` // accepted without effect
	Snapshots   *stats.Gauge   `stat:"snapshot_version"`
	LastGood    *stats.Gauge   `stat:"last_known_good"` // resources that serve from that file: 0 when control planes have answered
}

// publishEvery is how old the numbers of this file may be.
const publishEvery = 500 * time.Millisecond

// publish keeps the statistics that are not counted where they happen.
func (p *process) publish(ctx context.Context) error {
	pub := newPublisher(p.stats, p.xds.Stats(), serverVersion(p.l.boot.Stats.Version, revision()))
	secrets := newSecretPublisher(p.stats)
	extensions := newExtensionPublisher(p.stats.Scope(""), p.l.registry)
	own := newProcessPublisher(p.stats)
	t := time.NewTicker(publishEvery)
	defer t.Stop()
	for {
		pub.publish(p.state.String())
		own.publish(p, time.Now())
		secrets.publish(p.xds.Secrets())
		extensions.publish(p.xds.Extensions())
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

type publisher struct {
	start   time.Time
	server  *serverStats
	control *controlStats
	from    *xds.Stats
	types   []publishedType
	limited copied

	clusters  *clusterWarming
	listeners *listenerWarming
}

type publishedType struct {
	to      *discoveryStats
	version *versionStats // nil of types that Envoy has none of
	text    *stats.Text   // version_text
	from    *xds.TypeStats
	updates *copiedUpdates
}

func newPublisher(store *stats.Store, from *xds.Stats, version int64) *publisher {
	p := &publisher{
		start: time.Now(), from: from,
		server:  stats.Fill[serverStats](store.Scope("server")),
		control: stats.Fill[controlStats](store.Scope("control_plane")),

		clusters:  stats.Fill[clusterWarming](store.Scope("cluster_manager")),
		listeners: stats.Fill[listenerWarming](store.Scope("listener_manager")),
	}
	for _, t := range []struct{ scope, name, url string }{
		{"cluster_manager", "cds", config.ClusterURL},
		{"listener_manager", "lds", config.ListenerURL},
		{"xds", "eds", config.AssignmentURL},
		{"xds", "rds", config.RouteURL},
		{"xds", "sds", config.SecretURL},
	} {
		sc := store.Scope(t.scope, t.name)
		p.add(sc, t.url)
		if t.scope != "xds" {
			last := &p.types[len(p.types)-1]
			last.version, last.text = stats.Fill[versionStats](sc), sc.Text("version_text")
		}
	}
	p.add(store.Scope("runtime"), config.RuntimeURL)
	p.limited = copied{to: p.control.RateLimited}
	p.server.Version.Set(version)
	p.server.Concurrency.Set(int64(runtime.GOMAXPROCS(0)))
	return p
}

func (p *publisher) add(scope *stats.Scope, url string) {
	to := stats.Fill[discoveryStats](scope)
	p.types = append(p.types, publishedType{
		to: to, from: p.from.Type(url), updates: newCopiedUpdates(to.Attempt, to.Success, to.Rejected, to.Failure, to.FetchTimeout),
	})
}

func (p *publisher) publish(state string) {
	p.server.Uptime.Set(int64(time.Since(p.start).Seconds()))
	live, number := int64(0), int64(3)
	switch state {
	case "LIVE":
		live, number = 1, 0
	case "DRAINING":
		number = 1
	}
	p.server.Live.Set(live)
	p.server.State.Set(number)
	p.control.Connected.Set(int64(p.from.Connected.Load()))
	p.control.Pending.Set(p.from.Pending.Load())
	p.limited.set(p.from.RateLimited.Load())
	p.control.Warming.Set(int64(p.from.Warming.Load()))
	p.control.Degraded.Set(int64(p.from.Degraded.Load()))
	p.control.LastGood.Set(int64(p.from.LastGood.Load()))
	p.control.Snapshots.Set(int64(p.from.Snapshots.Load()))
	p.clusters.Now.Set(int64(p.from.Type(config.ClusterURL).Warming.Load()))
	p.listeners.Now.Set(int64(p.from.Type(config.ListenerURL).Warming.Load()))
	for _, t := range p.types {
		t.updates.set(xds.Counters{
			Attempt: t.from.Attempt.Load(), Success: t.from.Success.Load(), Rejected: t.from.Rejected.Load(),
			Failure: t.from.Failure.Load(), FetchTimeout: t.from.FetchTimeout.Load(),
		})
		if t.version != nil {
			t.version.Version.Set(stats.Hash(t.from.Version()))
			t.text.Set(t.from.Version())
		}
		t.to.Bad.Set(int64(t.from.Bad.Load()))
		t.to.Active.Set(int64(t.from.Active.Load()))
	}
}
