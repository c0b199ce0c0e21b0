package listener

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/weirproxy/weir/config/extension"
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
	restore bool // original_dst is among the filters
}

type listenerFilter struct {
	filters.ListenerFilter
	disabledFor *config.Predicate
}

// A chain is a filter chain that was built: its filters outlive the generation
// that made them when the next one has an equal chain.
type chain struct {
	// set in build, never changed
	m         *config.FilterChain
	label     string
	tls       Transport
	admission []filters.AdmissionFilter // before the transport socket
	network   []filters.NetworkFilter
	terminal  filters.TerminalFilter
	closing   chan struct{} // closed when retired and the last connection is gone

	mu   sync.Mutex
	refs int  // guarded by mu
	out  bool // guarded by mu: retired
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
	c.out = true
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

func (c *chain) retired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out
}

// build builds a generation, with the chains of the one before where they are
// equal.
func (l *Listener) build(m *config.Listener, was *generation) (*generation, error) {
	g := &generation{m: m, chains: map[*config.FilterChain]*chain{}}
	bc := l.o.Context
	bc.Listener = l.scope
	if bc.Stats == nil {
		bc.Stats = l.o.Stats
	}
	if bc.Log == nil {
		bc.Log = l.log
	}
	for i, p := range m.Filters {
		f, err := makeOf[filters.ListenerFilter](p.Parsed, &bc)
		if err != nil {
			return nil, fmt.Errorf("listener_filters[%d] %q: %w", i, p.Name, err)
		}
		g.filters = append(g.filters, listenerFilter{f, p.DisabledFor})
		g.restore = g.restore || p.Factory.Name == "envoy.filters.listener.original_dst"
	}
	var err error
	if g.loggers, err = filters.MakeLoggers(m.AccessLog, &bc); err != nil {
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

// same compares all but a chain's place among the others. Configurations that
// hold functions are never the same, which costs a drain that was not needed.
func same(a, b *config.FilterChain) bool {
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
	own.Closing = c.closing
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
		a, early := v.(filters.AdmissionFilter)
		n, isFilter := v.(filters.NetworkFilter)
		t, isTerminal := v.(filters.TerminalFilter)
		if early {
			c.admission = append(c.admission, a)
		}
		if isFilter {
			c.network = append(c.network, n)
		}
		switch last := i == len(c.m.Filters)-1; {
		case last && isTerminal:
			c.terminal = t
		case last || !isFilter && !early:
			return fmt.Errorf("filters[%d] %q: not a filter for this place", i, p.Name)
		}
	}
	if c.terminal == nil {
		return fmt.Errorf("filters: none serves the connection")
	}
	return nil
}

// makeOf builds an extension that must be a T.
func makeOf[T any](p extension.Parsed, bc *filters.BuildContext) (T, error) {
	var none T
	v, err := filters.Make(p, bc)
	if err != nil {
		return none, err
	}
	t, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("%s is not for this place", p.Factory.Name)
	}
	return t, nil
}
