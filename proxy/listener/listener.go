// Package listener accepts downstream connections and takes each to the filter
// chain that wants it.
//
// The life of a connection:
//
//  1. A worker accepts it, on a socket of its own where SO_REUSEPORT allows, and
//     gives it a goroutine.
//  2. The listener filters look at its first bytes, over one buffer from which
//     nothing is taken but what a filter consumes; a deadline bounds them all.
//  3. With use_original_dst it goes on to the listener of its original
//     destination, if there is one.
//  4. The Selector finds its filter chain, by what is known now. No chain: it is
//     closed, counted and logged, with the chain that came nearest.
//  5. The chain's transport socket, if it has one, takes the bytes over.
//  6. The network filters see the new connection; the last one serves it.
//  7. It is logged and closed.
//
// Update changes what connections accepted from now on meet; sockets stay open,
// and connections of chains that stay do not notice.
package listener

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	values "github.com/weirproxy/weir/config/runtime"

	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/listener/names"
	"github.com/weirproxy/weir/proxy/listener/speakers"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
)

// ErrSockets is what Update wraps when the new configuration needs other
// sockets: the caller makes a new Listener, and then closes the old one.
var ErrSockets = errors.New("needs other sockets")

// Transport is what a filter chain's transport socket is built into: it replaces
// the connection's Conn and In by the decrypted side, or fails.
type Transport interface {
	Server(c *conn.Conn, deadline time.Time) error
}

// Options are what a Listener needs of its surroundings.
type Options struct {
	Log     *zap.Logger
	Stats   *stats.Scope         // the root of all statistics
	Context filters.BuildContext // what filters are built with; Listener and Closing are set here
	Workers int                  // sockets per address where SO_REUSEPORT is allowed; 0: GOMAXPROCS
	Loops   *netio.Loops         // where connections wait; nil: the runtime's poller

	DrainTime time.Duration // how long connections of what is no longer configured may go on; 0: as long as they like
	Gradual   bool          // they are asked to end one after the other within that time, not all at once

	// Away leaves the sockets of listeners that connections are intercepted to
	// (Intercepts) to Attach: there are none here.
	Away bool

	// OwnListeners lists the addresses that this process listens on, by which a
	// connection that would only lead back here is known. nil: none is.
	OwnListeners func() []netip.AddrPort
	// Find gives the listener of an address, for use_original_dst; nil: none.
	Find func(dst netip.AddrPort) *Listener
	// IDs numbers connections, shared by the listeners of a process; nil: each
	// listener counts for itself.
	IDs *atomic.Uint64
	// Speakers are the servers that are known to speak first, shared likewise; nil: none is learned.
	Speakers *speakers.Table
	// Names judges server names, shared likewise; nil: none is judged.
	Names *names.Checker
	// Limit is shared by the listeners of a process; nil: there is none.
	Limit *Limit
	// Flows is where connections that end leave what they were; nil: nowhere.
	Flows *flows.Table
	// Runtime has the key that limits this listener's connections; nil: it has no value.
	Runtime *values.Registry
}

// A Listener is one Envoy listener at run time.
type Listener struct {
	// set in New, never changed
	o       Options
	log     *zap.Logger
	scope   *stats.Scope
	stats   *Stats
	own     *values.Key // of the limit that is its own
	sockets []*socket
	opened  []*netio.Namespace // of the addresses
	shards  []shard            // the connections, each worker's apart

	current atomic.Pointer[generation]

	accepting atomic.Bool   // acceptors run, or ran
	active    atomic.Int64  // connections, from accept on
	draining  atomic.Bool   // all connections are to end
	closed    atomic.Bool   // no connection may go on
	stopped   chan struct{} // closed by StopAccepting
	stopping  sync.Once
	closing   sync.Once                      // of current, by Close
	stop      sync.Mutex                     // one StopAccepting at a time
	attached  map[*netio.Namespace][]*socket // guarded by stop
	acceptors sync.WaitGroup
	serving   sync.WaitGroup
	ctx       context.Context // of dials; nil until Run
	cancel    context.CancelFunc

	retired atomic.Pointer[time.Time] // since when the listener is no longer configured; nil: it is
	drains  sync.WaitGroup
	gone    chan struct{} // closed by Close

	mu       sync.Mutex // one Update at a time
	drainer  bool       // guarded by mu: a goroutine of drains runs
	misses   limiter
	selfDial limiter
	errors   limiter
}

// New builds the filter chains and binds the addresses. The error names the
// listener, and the address or the filter that failed; nothing is left open then.
func New(m *config.Listener, o Options) (*Listener, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Stats == nil {
		o.Stats = stats.NewStore().Scope("")
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.IDs == nil {
		o.IDs = new(atomic.Uint64)
	}
	l := &Listener{o: o, log: o.Log.With(zap.String("listener", m.Name)), stopped: make(chan struct{}), gone: make(chan struct{})}
	l.scope = o.Stats.Scope("listener", m.StatPrefix)
	l.stats = stats.Fill[Stats](l.scope)
	l.own = o.Runtime.Key(ownKeyStart + m.Name + ownKeyEnd)
	l.shards = make([]shard, o.Workers)
	g, err := l.build(m, nil)
	if err == nil {
		l.current.Store(g)
		err = l.bind(m)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listener %q: %w", m.Name, err)
	}
	return l, nil
}

// Name is the listener's name.
func (l *Listener) Name() string { return l.current.Load().m.Name }

// Config is the configuration in force.
func (l *Listener) Config() *config.Listener { return l.current.Load().m }

// Fits tells whether Update can put m in force, on the sockets there are.
func (l *Listener) Fits(m *config.Listener) bool {
	was := l.Config()
	return slices.Equal(was.Addresses, m.Addresses) && was.Transparent == m.Transparent && was.Freebind == m.Freebind &&
		was.BindToPort == m.BindToPort && was.ReusePort == m.ReusePort && was.Backlog == m.Backlog &&
		was.StatPrefix == m.StatPrefix && was.Name == m.Name
}

// Update puts a configuration in force for connections accepted from now on.
// Filter chains that are equal to one before keep their filters and connections;
// the connections of all others are asked to end within the drain time. With an error nothing has
// changed; it is ErrSockets when m needs other sockets.
func (l *Listener) Update(m *config.Listener) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.current.Load()
	if was.m == m {
		return nil
	}
	if !l.Fits(m) {
		return fmt.Errorf("listener %q: %w", m.Name, ErrSockets)
	}
	g, err := l.build(m, was)
	if err != nil {
		return fmt.Errorf("listener %q: %w", m.Name, err)
	}
	l.current.Store(g)
	was.end()
	gone := false
	for _, c := range was.all {
		if !slices.Contains(g.all, c) {
			c.retire()
			gone = true
		}
	}
	if gone {
		l.drainSoon()
	}
	return nil
}

// Run accepts and serves connections until ctx ends; then it stops accepting,
// closes what connections are left, and returns when the last is gone.
func (l *Listener) Run(ctx context.Context) error {
	l.stop.Lock()
	l.ctx, l.cancel = context.WithCancel(ctx)
	for _, s := range l.everySocket() {
		if !l.hasStopped() {
			l.acceptors.Go(func() { l.accept(s) })
		}
	}
	l.accepting.Store(true)
	l.stop.Unlock()
	<-ctx.Done()
	l.Close()
	return nil
}

func (l *Listener) hasStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// StopAccepting closes the listening sockets, after what was waiting in them is
// accepted. Connections go on.
func (l *Listener) StopAccepting() {
	l.stop.Lock()
	defer l.stop.Unlock()
	l.stopping.Do(func() { close(l.stopped) })
	for _, s := range l.everySocket() {
		s.wake()
	}
	l.acceptors.Wait()
	for _, s := range l.everySocket() {
		s.close()
	}
	for _, ns := range l.opened {
		ns.Leave()
	}
}

// Drain asks all connections, also those to come, to end at their next good moment.
func (l *Listener) Drain() {
	l.draining.Store(true)
	l.each(func(s *session) { s.StartDrain() })
}

// CloseConns closes all connections at once. After StopAccepting it also ends what
// is being dialled for them.
func (l *Listener) CloseConns() {
	l.stop.Lock()
	if l.hasStopped() && l.cancel != nil {
		l.cancel()
	}
	l.stop.Unlock()
	l.each(func(s *session) { _ = s.raw.Close() }) // its goroutine notices, and may have been faster
}

// Close stops accepting, closes all connections, waits for their goroutines and
// tears the filters down. Run does it when its context ends; of a Listener that
// never ran the caller does.
func (l *Listener) Close() {
	l.StopAccepting()
	if !l.closed.Swap(true) {
		close(l.gone)
	}
	l.drains.Wait()
	l.CloseConns()
	l.serving.Wait()
	if g := l.current.Load(); g != nil {
		l.closing.Do(g.end)
		for _, c := range g.all {
			c.retire()
		}
	}
}

// ActiveConns is the number of connections that are accepted and not over.
func (l *Listener) ActiveConns() int { return int(l.active.Load()) }

// Addresses are the addresses that are bound, with the ports the system chose,
// each once; of a listener that is not bound, those of its configuration.
func (l *Listener) Addresses() []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range l.sockets {
		if s.addr.IsValid() && !slices.Contains(out, s.addr) {
			out = append(out, s.addr)
		}
	}
	if len(l.sockets) == 0 {
		for _, a := range l.Config().Addresses {
			if a.Addr.IsValid() {
				out = append(out, a.Addr)
			}
		}
	}
	return out
}
