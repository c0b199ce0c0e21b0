package listener

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/filters"
)

// A generation is a configuration and what was built of it. It is immutable.
type generation struct {
	m       *config.Listener
	filters []listenerFilter
	chains  map[*config.FilterChain]*chain
	all     []*chain
	loggers []filters.AccessLogger
	restore bool          // original_dst is among the filters, or may be
	lookers int           // from this filter on all only look
	over    chan struct{} // closed by end
}

// end says that no connection will begin with the generation. Its chains are the
// next one's, or retire by themselves.
func (g *generation) end() { close(g.over) }

// inspectors builds the listener filters.
func (g *generation) inspectors(bc *filters.BuildContext) error {
	own := *bc
	own.Closing = g.over
	for i, p := range g.m.Filters {
		f := listenerFilter{disabledFor: p.DisabledFor}
		v, err := filters.Make(p.Parsed, &own)
		if err != nil {
			return fmt.Errorf("listener_filters[%d] %q: %w", i, p.Name, err)
		}
		switch v := v.(type) {
		case *filters.Discovered:
			f.discovered = v
			g.restore = g.restore || slices.ContainsFunc(p.Discovery().TypeURLs, func(u string) bool { return strings.HasSuffix(u, ".OriginalDst") })
		case filters.ListenerFilter:
			f.filter = v
			g.restore = g.restore || p.Factory.Name == "envoy.filters.listener.original_dst"
		default:
			return fmt.Errorf("listener_filters[%d] %q: %s is not for this place", i, p.Name, p.Factory.Name)
		}
		g.filters = append(g.filters, f)
		if _, ok := f.filter.(filters.Looker); !ok {
			g.lookers = i + 1
		}
	}
	return nil
}

type listenerFilter struct {
	filter      filters.ListenerFilter
	discovered  *filters.Discovered // set instead when the configuration is discovered
	disabledFor *config.Predicate
}

// get gives the filter of the moment; nil when it has no configuration.
func (f *listenerFilter) get() filters.ListenerFilter {
	if f.discovered == nil {
		return f.filter
	}
	if i := f.discovered.Instance(); i != nil {
		l, _ := i.Filter.(filters.ListenerFilter)
		return l
	}
	return nil
}

// A chain is a filter chain that was built: its filters outlive the generation
// that made them when the next one has an equal chain.
type chain struct {
	// set in build, never changed
	m       *config.FilterChain
	label   string
	tls     Transport
	made    []any         // the filters, in order
	closing chan struct{} // closed when retired and the last connection is gone

	now atomic.Pointer[network]

	mu   sync.Mutex
	refs int       // guarded by mu
	out  bool      // guarded by mu: retired
	when time.Time // guarded by mu: since then
}

// take counts a connection in.
func (c *chain) take() {
	c.mu.Lock()
	c.refs++
	c.mu.Unlock()
}

// give counts it out.
func (c *chain) give() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refs--
	c.tearDown()
}

// retire says that no new connection is meant for the chain.
func (c *chain) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.out {
		c.out, c.when = true, time.Now()
	}
	c.tearDown()
}

func (c *chain) tearDown() {
	if !c.out || c.refs > 0 {
		return
	}
	select {
	case <-c.closing: // a connection that had chosen it just before it was retired
	default:
		close(c.closing)
	}
}

// retiredAt tells whether the chain was retired, and when.
func (c *chain) retiredAt() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.when, c.out
}

// build builds a generation, with the chains of the one before where they are
// equal.
func (l *Listener) build(m *config.Listener, was *generation) (*generation, error) {
	g := &generation{m: m, chains: map[*config.FilterChain]*chain{}, over: make(chan struct{})}
	bc := l.o.Context
	bc.Listener = l.scope
	if bc.Stats == nil {
		bc.Stats = l.o.Stats
	}
	if bc.Log == nil {
		bc.Log = l.log
	}
	if err := g.inspectors(&bc); err != nil {
		g.end()
		return nil, err
	}
	var err error
	if g.loggers, err = filters.MakeLoggers(m.AccessLog, &bc); err != nil {
		g.end()
		return nil, err
	}
	all := m.Chains
	if m.Default != nil {
		all = append(slices.Clone(all), m.Default)
	}
	for _, f := range all {
		c := was.equal(f)
		if c == nil {
			if c, err = buildChain(f, &bc); err != nil {
				g.end()
				return nil, fmt.Errorf("%s: %w", f.Label(), err)
			}
		}
		g.chains[f] = c
		g.all = append(g.all, c)
	}
	return g, nil
}

// equal gives the chain that was built of a configuration equal to f; nil when
// there is none.
func (g *generation) equal(f *config.FilterChain) *chain {
	if g == nil {
		return nil
	}
	if c := g.chains[f]; c != nil {
		return c
	}
	for _, c := range g.all {
		if same(c.m, f) {
			return c
		}
	}
	return nil
}

// same tells whether two chains were made of the same bytes, or else are equal in all but their place among the others.
func same(a, b *config.FilterChain) bool {
	if a.SameBytes(b) {
		return true
	}
	x, y := *a, *b
	x.Index, y.Index = min(a.Index, 0), min(b.Index, 0)
	return a.Label() == b.Label() && reflect.DeepEqual(&x, &y)
}

func buildChain(m *config.FilterChain, bc *filters.BuildContext) (*chain, error) {
	c := &chain{m: m, label: m.Label(), closing: make(chan struct{})}
	if m.Name != "" {
		c.label = m.Name
	}
	own := *bc
	own.Closing, own.Transparent = c.closing, m.Transparent
	if err := c.build(&own); err != nil {
		c.retire() // what was built lets go
		return nil, err
	}
	return c, nil
}

func (c *chain) build(bc *filters.BuildContext) error {
	if t := c.m.TransportSocket; t != nil {
		v, err := filters.Make(*t, bc)
		if err != nil {
			return fmt.Errorf("transport_socket %q: %w", t.Name, err)
		}
		tr, ok := v.(Transport)
		if !ok && v != nil { // nil: the bytes as they are
			return fmt.Errorf("transport_socket %q: not a transport of downstream connections", t.Name)
		}
		c.tls = tr
	}
	for i, p := range c.m.Filters {
		v, err := filters.Make(p, bc)
		if err != nil {
			return fmt.Errorf("filters[%d] %q: %w", i, p.Name, err)
		}
		c.made = append(c.made, v)
	}
	n, err := c.assemble()
	if err != nil {
		return err
	}
	c.now.Store(n)
	for _, v := range c.made {
		if d, ok := v.(*filters.Discovered); ok {
			d.OnChange(c.reassemble)
		}
	}
	return nil
}
