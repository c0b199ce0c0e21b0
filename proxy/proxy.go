// Package proxy runs a configuration snapshot: it has the live clusters, route
// tables and listeners, and changes what a new snapshot changes.
//
// A new snapshot is applied in an order that no request falls through: clusters
// are added before the routes and listeners that name them, and removed last.
// What did not change, by pointer, is left alone with its connections, health and
// counters.
package proxy

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	clistener "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/listener"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream"
)

// Options are what a Proxy needs.
type Options struct {
	Log       *zap.Logger
	Stats     *stats.Store
	Loggers   func(path string) (filters.Sink, error) // files that access loggers write to
	OwnMark   uint32                                  // SO_MARK of upstream sockets, so that interception leaves them alone
	Workers   int                                     // listening sockets per address; 0: GOMAXPROCS
	DrainTime time.Duration                           // how long removed listeners' connections may go on; 0: 600 s
}

// A Proxy is the data plane of a process.
type Proxy struct {
	// set in New, never changed
	o       Options
	log     *zap.Logger
	scope   *stats.Scope
	stats   *Stats
	watcher *netio.Watcher
	up      *upstream.Manager

	snapshot atomic.Pointer[config.Snapshot]
	addrs    atomic.Pointer[[]netip.AddrPort]
	byAddr   atomic.Pointer[map[netip.AddrPort]*listener.Listener]

	ids atomic.Uint64 // numbers connections

	mu        sync.Mutex
	run       context.Context // of Run; nil before. Guarded by mu, like all below
	routes    map[string]*liveRoute
	listeners map[string]*live
	wg        sync.WaitGroup
}

// liveRoute is a route table that connection managers look at, by name.
type liveRoute struct {
	route.Live
	from *config.Resource
}

// live is a running listener and what it was made of.
type live struct {
	l    *listener.Listener
	from *config.Resource
	stop context.CancelFunc
	done chan struct{}
}

// New makes a Proxy that serves nothing yet.
func New(o Options) (*Proxy, error) {
	w, err := netio.NewWatcher()
	if err != nil {
		return nil, err
	}
	if o.DrainTime == 0 {
		o.DrainTime = 600 * time.Second
	}
	root := o.Stats.Scope("")
	p := &Proxy{
		o: o, log: o.Log, scope: root, watcher: w,
		stats:  stats.Fill[Stats](root.Scope("listener_manager")),
		up:     upstream.NewManager(upstream.Options{Log: o.Log, Stats: root, Watcher: w, OwnMark: o.OwnMark}),
		routes: map[string]*liveRoute{}, listeners: map[string]*live{},
	}
	p.snapshot.Store(&config.Snapshot{})
	p.noteAddresses()
	return p, nil
}

// Clusters are the live clusters.
func (p *Proxy) Clusters() *upstream.Manager { return p.up }

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
	for _, l := range p.listeners {
		p.start(l)
	}
	p.mu.Unlock()
	p.wg.Go(func() { _ = p.watcher.Run(ctx) })
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
	old := p.snapshot.Load()
	var errs []error
	if err := p.up.Apply(withRemoved(old, s)); err != nil {
		errs = append(errs, err)
	}
	p.applyRoutes(s)
	errs = append(errs, p.applyListeners(s)...)
	p.noteAddresses()
	if len(removed(old.Clusters, s.Clusters)) > 0 {
		if err := p.up.Apply(s); err != nil {
			errs = append(errs, err)
		}
	}
	p.snapshot.Store(s)
	return errors.Join(errs...)
}

// withRemoved is s with the clusters it no longer has.
func withRemoved(old, s *config.Snapshot) *config.Snapshot {
	gone := removed(old.Clusters, s.Clusters)
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
	for name := range old {
		if now[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// applyRoutes swaps the tables that changed.
func (p *Proxy) applyRoutes(s *config.Snapshot) {
	for name, r := range s.Routes {
		l := p.liveRoute(name)
		if l.from != r {
			l.from = r
			l.Store(s.Route(name))
		}
	}
	for name, l := range p.routes {
		if s.Routes[name] == nil && l.from != nil {
			l.from = nil
			l.Store(nil)
		}
	}
}

func (p *Proxy) liveRoute(name string) *liveRoute {
	l := p.routes[name]
	if l == nil {
		l = new(liveRoute)
		p.routes[name] = l
	}
	return l
}

// applyListeners adds, changes and removes listeners.
func (p *Proxy) applyListeners(s *config.Snapshot) (errs []error) {
	for name, r := range s.Listeners {
		if err := p.applyListener(name, r, s.Listener(name)); err != nil {
			p.stats.CreateFailure.Inc()
			errs = append(errs, err) // it names the listener
		}
	}
	for name, l := range p.listeners {
		if s.Listeners[name] == nil {
			p.stats.Removed.Inc()
			delete(p.listeners, name)
			p.retire(l)
		}
	}
	p.stats.Active.Set(int64(len(p.listeners)))
	return errs
}

func (p *Proxy) applyListener(name string, r *config.Resource, m *clistener.Listener) error {
	old := p.listeners[name]
	if old != nil && old.from == r {
		return nil
	}
	if old != nil {
		err := old.l.Update(m)
		if err == nil {
			old.from = r
			p.stats.InPlace.Inc()
			return nil
		}
		if !errors.Is(err, listener.ErrSockets) {
			return err
		}
	}
	l, err := listener.New(m, listener.Options{
		Log: p.log, Stats: p.scope, Context: p.buildContext(),
		Workers: p.o.Workers, OwnListeners: p.Addresses, Find: p.find, IDs: &p.ids,
	})
	if err != nil {
		return err
	}
	n := &live{l: l, from: r}
	p.listeners[name] = n
	if p.run != nil {
		p.start(n)
	}
	if old != nil {
		p.stats.Modified.Inc()
		p.retire(old)
		return nil
	}
	p.stats.Added.Inc()
	p.log.Info("listening", zap.String("listener", name), zap.Stringers("addresses", l.Addresses()))
	return nil
}

func (p *Proxy) buildContext() filters.BuildContext {
	return filters.BuildContext{
		Log: p.log, Stats: p.scope, Clusters: p.up, Loggers: p.o.Loggers,
		Routes: func(name string) *route.Live { return &p.liveRoute(name).Live },
	}
}

// start runs a listener; p.mu is held.
func (p *Proxy) start(l *live) {
	ctx, cancel := context.WithCancel(p.run)
	l.stop, l.done = cancel, make(chan struct{})
	p.wg.Go(func() {
		defer close(l.done)
		if err := l.l.Run(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("listener ended", zap.Error(err))
		}
	})
}

// retire lets a removed listener's connections end within the drain time.
func (p *Proxy) retire(l *live) {
	l.l.StopAccepting()
	l.l.Drain()
	if l.done == nil {
		l.l.Close()
		return
	}
	p.stats.Draining.Inc()
	run := p.run
	p.wg.Go(func() {
		ctx, cancel := context.WithTimeout(run, p.o.DrainTime)
		defer cancel()
		defer p.stats.Draining.Dec()
		awaitIdle(ctx, l.l)
		p.stopListener(l)
		<-l.done
	})
}

func (p *Proxy) stopListener(l *live) {
	if l.stop != nil {
		l.stop()
	}
}

// Drain stops accepting, asks every connection to end, and returns when all have
// or ctx ends.
func (p *Proxy) Drain(ctx context.Context) { p.drain(ctx, func(*live) bool { return true }) }

// DrainInbound does so for the listeners whose traffic_direction is INBOUND.
func (p *Proxy) DrainInbound(ctx context.Context) {
	p.drain(ctx, func(l *live) bool { return l.l.Config().Direction == clistener.Inbound })
}

func (p *Proxy) drain(ctx context.Context, which func(*live) bool) {
	chosen := slices.DeleteFunc(p.all(), func(l *live) bool { return !which(l) })
	for _, l := range chosen {
		l.l.StopAccepting()
		l.l.Drain()
	}
	for _, l := range chosen {
		awaitIdle(ctx, l.l)
	}
}

// idlePoll is how often a draining listener is looked at.
const idlePoll = 20 * time.Millisecond

// awaitIdle waits until a listener has no connection, or ctx ends.
func awaitIdle(ctx context.Context, l *listener.Listener) {
	t := time.NewTicker(idlePoll)
	defer t.Stop()
	for l.ActiveConns() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (p *Proxy) all() []*live {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*live, 0, len(p.listeners))
	for _, l := range p.listeners {
		out = append(out, l)
	}
	return out
}

// Addresses are those that the listeners are bound to, sorted; it takes no lock.
func (p *Proxy) Addresses() []netip.AddrPort { return *p.addrs.Load() }

// noteAddresses makes Addresses true again; p.mu is held.
func (p *Proxy) noteAddresses() {
	out, byAddr := []netip.AddrPort{}, map[netip.AddrPort]*listener.Listener{}
	for _, l := range p.listeners {
		for _, a := range l.l.Addresses() {
			out = append(out, a)
			byAddr[a] = l.l
		}
	}
	p.byAddr.Store(&byAddr)
	sort.Slice(out, func(i, j int) bool { return out[i].Compare(out[j]) < 0 })
	p.addrs.Store(&out)
}

// find gives the listener of a destination, for use_original_dst: that of the
// address itself, else that of its port on every address (Envoy: the same).
func (p *Proxy) find(dst netip.AddrPort) *listener.Listener {
	m := *p.byAddr.Load()
	if l := m[dst]; l != nil {
		return l
	}
	any := netip.IPv4Unspecified()
	if dst.Addr().Is6() {
		any = netip.IPv6Unspecified()
	}
	return m[netip.AddrPortFrom(any, dst.Port())]
}

// A ListenerInfo is a running listener, for the admin interface.
type ListenerInfo struct {
	Name      string
	Addresses []netip.AddrPort
	Active    int // connections
}

// Listeners lists the running listeners by name.
func (p *Proxy) Listeners() []ListenerInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]ListenerInfo, 0, len(p.listeners))
	for name, l := range p.listeners {
		out = append(out, ListenerInfo{name, l.l.Addresses(), l.l.ActiveConns()})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
