package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sort"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	clistener "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/listener"
	"github.com/weirproxy/weir/proxy/netio"
)

// applyListeners adds, changes and removes listeners.
func (p *Proxy) applyListeners(s *config.Snapshot) (errs []error) {
	taken := map[clistener.Address]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		m := s.Listener(name)
		err := unique(taken, m)
		if err == nil {
			err = p.applyListener(name, s.Listeners[name], m)
		}
		if err != nil {
			p.stats.CreateFailure.Inc()
			errs = append(errs, err) // it names the listener
		}
	}
	for name, l := range p.listeners {
		if s.Listeners[name] == nil {
			p.stats.Removed.Inc()
			delete(p.listeners, name)
			p.retire(name, l)
		}
	}
	p.stats.Active.Set(int64(len(p.listeners)))
	return errs
}

// unique refuses a second listener on one address: with SO_REUSEPORT both would
// be bound, and each get some of the connections.
func unique(taken map[clistener.Address]string, m *clistener.Listener) error {
	if !m.BindToPort {
		return nil
	}
	for _, a := range m.Addresses {
		if other, dup := taken[a]; dup && (a.Pipe != "" || a.Addr.Port() != 0) {
			return fmt.Errorf("listener %q: address: listener %q has the same", m.Name, other)
		}
		taken[a] = m.Name
	}
	return nil
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
	o := listener.Options{
		Log: p.log, Stats: p.scope, Context: p.buildContext(),
		Workers: p.o.Workers, Loops: p.loops, OwnListeners: p.Addresses, Find: p.find, IDs: &p.ids,
		DrainTime: p.o.DrainTime, Gradual: p.o.Gradual, Limit: p.limit, Runtime: p.o.Runtime, Speakers: p.speakers, Flows: p.flows,
		Away:  p.o.Away,
		Names: p.names,
	}
	l, err := listener.New(m, o)
	if old != nil && errors.Is(err, unix.EADDRINUSE) {
		// Without enable_reuse_port the old sockets have to go first.
		old.l.StopAccepting()
		l, err = listener.New(m, o)
	}
	if err != nil {
		return err
	}
	if err := p.attachAll(l); err != nil {
		if old == nil || !errors.Is(err, unix.EADDRINUSE) {
			l.Close()
			return err
		}
		old.l.StopAccepting()
		if err := p.attachAll(l); err != nil {
			l.Close()
			return err
		}
	}
	p.stats.CreateSuccess.Add(uint64(p.o.workers()))
	n := &live{l: l, from: r}
	p.listeners[name] = n
	if p.run != nil {
		p.start(n)
	}
	if old != nil {
		p.stats.Modified.Inc()
		p.retire(name, old)
		return nil
	}
	p.stats.Added.Inc()
	p.log.Info("listening", zap.String("listener", name), zap.Stringers("addresses", l.Addresses()))
	return nil
}

func (p *Proxy) buildContext() filters.BuildContext {
	return filters.BuildContext{
		Log: p.log, Stats: p.scope, Clusters: p.up, Loggers: p.o.Loggers, Shared: &p.shared, Node: p.o.Node,
		Draining: p.draining.Load, Flows: p.flows,
		Routes:     func(name string) *route.Live { return &p.liveRoute(name).Live },
		Scopes:     p.countedScopes,
		Discover:   p.o.Discover,
		Extensions: func(key string) *extension.Live { return &p.liveExtension(key).Live },
		Secrets:    p.secrets.find, Keep: p.secrets.keep, WatchSecret: p.secrets.watch,
	}
}

// start runs a listener; p.mu is held.
func (p *Proxy) start(l *live) {
	if p.draining.Load() {
		l.l.StopAccepting()
	}
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
func (p *Proxy) retire(name string, l *live) {
	l.l.StopAccepting()
	l.l.Retire()
	if l.done == nil {
		l.l.Close()
		return
	}
	p.stats.Draining.Inc()
	p.log.Info("listener removed", zap.String("listener", name), zap.Int("connections", l.l.ActiveConns()))
	p.retired[l] = struct{}{}
	run := p.run
	p.wg.Go(func() {
		ctx, cancel := context.WithTimeout(run, p.o.DrainTime)
		defer cancel()
		defer p.stats.Draining.Dec()
		awaitIdle(ctx, l.l)
		p.stopListener(l)
		<-l.done
		p.mu.Lock()
		delete(p.retired, l)
		p.mu.Unlock()
	})
}

func (p *Proxy) stopListener(l *live) {
	if l.stop != nil {
		l.stop()
	}
}

// Addresses are those that the listeners are bound to, sorted; it takes no lock.
func (p *Proxy) Addresses() []netip.AddrPort { return *p.addrs.Load() }

// noteAddresses makes Addresses true again; p.mu is held.
func (p *Proxy) noteAddresses() {
	out, byAddr := []netip.AddrPort{}, map[netip.AddrPort]*listener.Listener{}
	pulses := make([]*listener.Listener, 0, len(p.listeners))
	for _, l := range p.listeners {
		pulses = append(pulses, l.l)
		for _, a := range l.l.Addresses() {
			out = append(out, a)
			byAddr[a] = l.l
		}
	}
	p.byAddr.Store(&byAddr)
	sort.Slice(out, func(i, j int) bool { return out[i].Compare(out[j]) < 0 })
	p.addrs.Store(&out)
	p.accepting.Store(&pulses)
}

// Pulses are those of what takes connections and wakes them: of the event loops and
// of the goroutines that accept. No lock is taken.
func (p *Proxy) Pulses() []netio.Pulse {
	out := p.loops.Pulses()
	for _, l := range *p.accepting.Load() {
		out = append(out, l.Pulses()...)
	}
	return out
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

// Connections is how many downstream connections there are, those of removed
// listeners with them.
func (p *Proxy) Connections() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listeners {
		n += l.l.ActiveConns()
	}
	for l := range p.retired {
		n += l.l.ActiveConns()
	}
	return n
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
