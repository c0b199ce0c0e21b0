package filters

import (
	"fmt"
	"runtime"
	"sync"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// A Discovered is a filter whose configuration is discovered: Make gives it in
// the filter's place, and whoever builds the chain asks it for the filter of the
// moment.
//
//  1. It watches the live configuration. One of a type that may stand here is
//     built at once, by whoever stores it; else the default is, if there is one.
//  2. OnChange tells the chain, which takes the new instance for streams or
//     connections that begin from now on. Those under way keep theirs.
//  3. What an instance was built with closes (BuildContext.Closing) when nothing
//     holds the instance any more, or with the chain.
type Discovered struct {
	// set in discover, never changed
	d     *extension.Discovery
	kind  extension.Kind
	name  string
	bc    BuildContext
	stats *DiscoveryStats

	mu      sync.Mutex
	now     *Instance           // guarded by mu, like all below; nil while there is none
	of      *extension.Parsed   // what it was built of
	open    map[*latch]struct{} // of the instances that somebody holds
	changed func()
	over    bool // the chain was torn down
}

// An Instance is a filter that was built of a discovered configuration. Whoever
// uses the filter holds the instance as well.
type Instance struct {
	Filter any
	slots  *stream.Slots
}

// latch is an instance's BuildContext.Closing.
type latch struct {
	once sync.Once
	c    chan struct{}
}

func (l *latch) close() { l.once.Do(func() { close(l.c) }) }

// DiscoveryStats are about one discovered configuration, under
// extension_config_discovery.http_filter.<name>. and likewise for other kinds
// (Envoy: Extension Config Discovery Service statistics).
type DiscoveryStats struct {
	Reload   *stats.Counter `stat:"config_reload"`   // configurations taken
	Fail     *stats.Counter `stat:"config_fail"`     // configurations that could not be taken
	Conflict *stats.Counter `stat:"config_conflict"` // places that may not take what is there
}

// DiscoveryScope is where the statistics of a discovered configuration are.
func DiscoveryScope(root *stats.Scope, k extension.Kind, name string) *stats.Scope {
	return root.Scope("extension_config_discovery", map[extension.Kind]string{
		extension.HTTPFilter: "http_filter", extension.NetworkFilter: "network_filter", extension.ListenerFilter: "tcp_listener_filter",
	}[k], name)
}

// discover makes the filter of a discovered configuration.
func discover(p extension.Parsed, d *extension.Discovery, bc *BuildContext) (*Discovered, error) {
	if bc.Extensions == nil {
		return nil, fmt.Errorf("%s %q: configurations are not discovered here", p.Factory.Kind, p.Name)
	}
	f := &Discovered{
		d: d, kind: p.Factory.Kind, name: p.Name, bc: *bc, open: map[*latch]struct{}{},
		stats: stats.Fill[DiscoveryStats](DiscoveryScope(bc.Stats, p.Factory.Kind, d.Resource)),
	}
	stop := bc.Extensions(d.Key).Watch(f.take)
	if bc.Closing != nil {
		go func() {
			<-bc.Closing
			stop()
			f.end()
		}()
	}
	return f, nil
}

// Instance gives the filter as it is now, nil when it has no configuration.
func (f *Discovered) Instance() *Instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// OnChange calls changed whenever Instance gives another one from now on.
func (f *Discovered) OnChange(changed func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = changed
}

// take builds the filter anew. What cannot be built leaves the last one in place.
// One snapshot is applied at a time, so there is one call at a time in a chain.
func (f *Discovered) take(p *extension.Parsed) {
	if p != nil && !f.d.Takes(p) {
		f.stats.Conflict.Inc()
		p = nil
	}
	if p == nil {
		p = f.d.Default
	}
	f.mu.Lock()
	if f.over || p == f.of && (p == nil) == (f.now == nil) {
		f.mu.Unlock()
		return
	}
	var i *Instance
	if p != nil {
		var err error
		if i, err = f.build(p); err != nil {
			f.mu.Unlock()
			f.stats.Fail.Inc()
			if f.bc.Log != nil {
				f.bc.Log.Error("discovered configuration", zap.String("filter", f.name), zap.Error(err))
			}
			return
		}
	}
	if f.now != nil && f.now.slots != nil {
		f.now.slots.Release()
	}
	f.now, f.of = i, p
	changed := f.changed
	f.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// build makes an instance; f.mu is held.
func (f *Discovered) build(p *extension.Parsed) (*Instance, error) {
	l := &latch{c: make(chan struct{})}
	bc := f.bc
	bc.Closing = l.c
	if bc.Slots != nil {
		bc.Slots = bc.Slots.Part()
	}
	own := *p
	own.Name = f.name
	v, err := Make(own, &bc)
	if err != nil {
		l.close()
		return nil, err
	}
	f.open[l] = struct{}{}
	i := &Instance{Filter: v, slots: bc.Slots}
	runtime.AddCleanup(i, f.let, l)
	return i, nil
}

// let closes what an instance was built with that nobody holds any more.
func (f *Discovered) let(l *latch) {
	l.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, l)
}

// end is the end of the chain.
func (f *Discovered) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.now, f.of = true, nil, nil
	for l := range f.open {
		l.close()
	}
}
