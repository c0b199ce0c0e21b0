// Package proxy runs a configuration snapshot: it has the live clusters, route
// tables and listeners, and changes what a new snapshot changes.
//
// A new snapshot is applied in an order that no request falls through: runtime values and
// secrets are swapped first, clusters are added before the routes and listeners that name them,
// and removed last.
// What did not change, by pointer, is left alone with its connections, health and
// counters.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/route"
	values "github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/layers"
	"github.com/weirproxy/weir/proxy/listener"
	"github.com/weirproxy/weir/proxy/listener/names"
	"github.com/weirproxy/weir/proxy/listener/speakers"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/proxy/upstream/dns"
)

// Options are what a Proxy needs.
type Options struct {
	Log       *zap.Logger
	Stats     *stats.Store
	Loggers   func(path string) (filters.Sink, error) // files that access loggers write to
	Away      bool                                    // listeners that connections are intercepted to have their sockets where Attach says, none here
	OwnMark   uint32                                  // SO_MARK of upstream sockets, so that interception leaves them alone
	Discover  filters.Discoverer                      // asks the control plane for what requests need; nil asks nobody
	Workers   int                                     // listening sockets per address, and event loops; 0: GOMAXPROCS
	Node      filters.Node                            // who this process is
	DrainTime time.Duration                           // how long removed listeners' connections may go on; 0: 600 s
	Gradual   bool                                    // their clients are sent away one after the other within that time, not all at once
	MaxConns  uint64                                  // downstream connections at once, over all listeners; 0: no limit
	Runtime   *values.Registry                        // whose keys the configuration reads; nil makes one
	Layers    []bootstrap.RuntimeLayer                // of the runtime
	Flows     flows.Detail                            // how much is kept of the latest flows
}

// A Proxy is the data plane of a process.
type Proxy struct {
	// set in New, never changed
	o       Options
	log     *zap.Logger
	scope   *stats.Scope
	stats   *Stats
	watcher *netio.Watcher
	loops   *netio.Loops
	up      *upstream.Manager

	snapshot atomic.Pointer[config.Snapshot]
	addrs    atomic.Pointer[[]netip.AddrPort]
	byAddr   atomic.Pointer[map[netip.AddrPort]*listener.Listener]

	accepting atomic.Pointer[[]*listener.Listener] // whose pulse is taken

	secrets *secrets
	layers  *layers.Loader

	speakers *speakers.Table // set in New, never changed
	flows    *flows.Table    // set in New, never changed
	names    *names.Checker  // set in New, never changed

	ids    atomic.Uint64 // numbers connections
	limit  *listener.Limit
	shared filters.Shared

	draining atomic.Bool // what is added from now on does not accept

	mu         sync.Mutex
	run        context.Context // of Run; nil before. Guarded by mu, like all below
	routes     map[string]*liveRoute
	scopes     map[scopesAt]*liveScopes
	scoped     scopesIn
	extensions map[string]*liveExtension
	listeners  map[string]*live
	retired    map[*live]struct{} // removed, with connections that still go on
	spaces     []space
	wg         sync.WaitGroup
}

// liveRoute is a route table that connection managers look at, by name.
type liveRoute struct {
	route.Live
	from  *config.Resource
	hosts map[*config.Resource]*route.VirtualHost // discovered ones, as part of from
}

// live is a running listener and what it was made of.
type live struct {
	l    *listener.Listener
	from *config.Resource
	stop context.CancelFunc
	done chan struct{}
}

// workers is how many event loops there are.
func (o *Options) workers() int { return cmp.Or(o.Workers, runtime.GOMAXPROCS(0)) }

// New makes a Proxy that serves nothing yet.
func New(o Options) (*Proxy, error) {
	w, err := netio.NewWatcher()
	if err != nil {
		return nil, err
	}
	loops, err := netio.NewLoops(o.workers())
	if err != nil {
		return nil, err
	}
	if o.DrainTime == 0 {
		o.DrainTime = 600 * time.Second
	}
	if o.Runtime == nil {
		o.Runtime = values.NewRegistry()
	}
	root := o.Stats.Scope("")
	p := &Proxy{
		flows: flows.New(o.workers(), o.Flows), speakers: speakers.New(speakers.DefaultSize, speakers.DefaultTTL),
		names: names.New(dns.New(dns.System, o.OwnMark)),
		o:     o, log: o.Log, scope: root, watcher: w, loops: loops,
		stats:   stats.Fill[Stats](root.Scope("listener_manager")),
		secrets: newSecrets(o.Log, root), limit: listener.NewLimit(o.MaxConns, o.Runtime),
		layers: layers.New(layers.Options{Log: o.Log, Stats: root, Layers: o.Layers, Registry: o.Runtime}),
		routes: map[string]*liveRoute{}, scopes: map[scopesAt]*liveScopes{}, extensions: map[string]*liveExtension{}, listeners: map[string]*live{}, retired: map[*live]struct{}{},
	}
	p.up = upstream.NewManager(upstream.Options{
		Log: o.Log, Stats: root, Watcher: w, Loops: loops, OwnMark: o.OwnMark,
		Secrets: p.secrets.find, Keep: p.secrets.keep, WatchSecret: p.secrets.watch, Runtime: o.Runtime,
	})
	p.snapshot.Store(&config.Snapshot{})
	p.noteAddresses()
	return p, nil
}

// Clusters are the live clusters.
func (p *Proxy) Clusters() *upstream.Manager { return p.up }

// Runtime are the runtime layers.
func (p *Proxy) Runtime() *layers.Loader { return p.layers }

// LiveFlows calls f for every connection that goes on; f must not wait.
func (p *Proxy) LiveFlows(f func(flows.Live)) {
	for _, l := range p.serving() {
		l.LiveFlows(f)
	}
}

// Kill ends a connection by its number, or one stream of it where that is possible (0: the connection); it tells whether it was there,
// and whether the whole connection ends.
func (p *Proxy) Kill(id, stream uint64) (found, whole bool) {
	for _, l := range p.serving() {
		if found, whole = l.Kill(id, stream); found {
			break
		}
	}
	return found, whole
}

// serving are the listeners that have connections, those that were removed with them.
func (p *Proxy) serving() (out []*listener.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listeners {
		out = append(out, l.l)
	}
	for l := range p.retired {
		out = append(out, l.l)
	}
	return out
}

// Flows are the latest flows; nil when none are kept.
func (p *Proxy) Flows() *flows.Table { return p.flows }

// Speakers are the servers that are known to speak first.
func (p *Proxy) Speakers() *speakers.Table { return p.speakers }

// Snapshot is the configuration in force.
func (p *Proxy) Snapshot() *config.Snapshot { return p.snapshot.Load() }

// Run keeps everything going until ctx ends, then closes all connections.
func (p *Proxy) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.run != nil {
		p.mu.Unlock()
		return errors.New("proxy: already running")
	}
	p.run = ctx
	p.stats.Started.Set(1)
	for _, l := range p.listeners {
		p.start(l)
	}
	p.mu.Unlock()
	// The loops outlive the connections, which end when the listeners stop.
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() { p.loops.Run(ended) })
	defer loops.Wait()
	defer end()
	p.wg.Go(func() { _ = p.watcher.Run(ctx) })
	p.wg.Go(func() { p.secrets.run(ctx) })
	p.wg.Go(func() { p.names.Run(ctx) })
	p.wg.Go(func() { p.layers.Run(ctx) })
	p.wg.Go(func() { _ = p.up.Run(ctx) })
	<-ctx.Done()
	p.mu.Lock()
	for _, l := range p.listeners {
		p.stopListener(l)
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

// Apply makes a snapshot the configuration in force. What cannot be applied, such
// as a listener whose address is taken, is in the error; the rest is in force.
func (p *Proxy) Apply(s *config.Snapshot) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil && p.run.Err() != nil {
		return errEnded
	}
	old := p.snapshot.Load()
	var errs []error
	p.layers.Apply(s)
	p.secrets.apply(s)
	gone := removed(old.Clusters, s.Clusters)
	if err := p.up.Apply(withRemoved(old, s, gone)); err != nil {
		errs = append(errs, err)
	}
	p.applyRoutes(s)
	p.applyScopes(s)
	p.applyExtensions(s)
	errs = append(errs, p.applyListeners(s)...)
	p.secrets.drop(s)
	p.noteAddresses()
	p.snapshot.Store(s)
	p.flows.SetVersion(s.Version)
	if len(gone) > 0 {
		p.removeLater()
	}
	return errors.Join(errs...)
}

var errEnded = errors.New("the proxy has ended")

// removeGrace is how long clusters outlive the last route to them: a request that
// has matched a route looks for the cluster a moment later.
const removeGrace = time.Second

// removeLater removes the clusters that the snapshot in force does not have; at
// once while nothing serves.
func (p *Proxy) removeLater() {
	run := p.run
	if run == nil || run.Err() != nil {
		_ = p.up.Apply(p.snapshot.Load()) // its errors were told when it was applied with the others
		return
	}
	p.wg.Go(func() {
		t := time.NewTimer(removeGrace)
		defer t.Stop()
		select {
		case <-t.C:
		case <-run.Done():
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = p.up.Apply(p.snapshot.Load())
	})
}

// withRemoved is s with the clusters it no longer has.
func withRemoved(old, s *config.Snapshot, gone []string) *config.Snapshot {
	if len(gone) == 0 {
		return s
	}
	u := *s
	u.Clusters = maps.Clone(s.Clusters)
	u.Endpoints = maps.Clone(s.Endpoints)
	for _, name := range gone {
		u.Clusters[name] = old.Clusters[name]
	}
	for name, r := range old.Endpoints {
		if u.Endpoints[name] == nil {
			u.Endpoints[name] = r
		}
	}
	return &u
}

func removed(old, now map[string]*config.Resource) (names []string) {
	if reflect.ValueOf(old).Pointer() == reflect.ValueOf(now).Pointer() {
		return nil // the very same map
	}
	for name := range old {
		if now[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// applyRoutes swaps the tables that changed.
func (p *Proxy) applyRoutes(s *config.Snapshot) {
	hosts := s.Discovered()
	for name, r := range s.Routes {
		p.liveRoute(name).swap(p, r, s.Route(name), hosts)
	}
	wanted := map[string]bool{}
	for _, owners := range []map[string]*config.Resource{s.Listeners, s.Extensions, s.Scopes} {
		for _, r := range owners {
			for _, ref := range r.Refs {
				wanted[ref.Key()] = true
			}
		}
	}
	for key := range s.Scopes { // also those that are on demand, and refer to nothing
		for at := range p.scopes {
			wanted[s.Scope(key).TableRef(at.routes).Key()] = true
		}
	}
	for name, l := range p.routes {
		if s.Routes[name] != nil {
			continue
		}
		if l.from != nil {
			l.from, l.hosts = nil, nil
			l.Store(nil)
		}
		if !wanted[name] {
			delete(p.routes, name) // no connection manager will look here again
		}
	}
}

// Table gives the route table in force under a key, discovered virtual hosts included; nil when there is none.
func (p *Proxy) Table(key string) *route.Table {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.routes[key]; l != nil {
		return l.Load()
	}
	return nil
}

func (p *Proxy) liveRoute(name string) *liveRoute {
	l := p.routes[name]
	if l == nil {
		l = new(liveRoute)
		p.routes[name] = l
	}
	return l
}
