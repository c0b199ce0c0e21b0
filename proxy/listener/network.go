package listener

import (
	"fmt"

	"github.com/weirproxy/weir/filters"
)

// A network is what a chain's connections go through: its network filters as they
// are at one moment. A discovered configuration that changes makes another one;
// connections keep the one they began with.
type network struct {
	admission []filters.AdmissionFilter // before the transport socket
	filters   []filters.NetworkFilter
	terminal  filters.TerminalFilter
	missing   bool                // a filter has no configuration: connections are closed
	keep      []*filters.Instance // stay reachable as long as this
}

// assemble sorts the filters of a chain as they are now.
func (c *chain) assemble() (*network, error) {
	n := &network{}
	for i, v := range c.made {
		if d, ok := v.(*filters.Discovered); ok {
			x := d.Instance()
			if x == nil {
				n.missing = true
				continue
			}
			n.keep = append(n.keep, x)
			v = x.Filter
		}
		a, early := v.(filters.AdmissionFilter)
		f, isFilter := v.(filters.NetworkFilter)
		t, isTerminal := v.(filters.TerminalFilter)
		if early {
			n.admission = append(n.admission, a)
		}
		if isFilter {
			n.filters = append(n.filters, f)
		}
		switch last := i == len(c.made)-1; {
		case last && isTerminal:
			n.terminal = t
		case last || !isFilter && !early:
			return nil, fmt.Errorf("filters[%d] %q: not a filter for this place", i, c.m.Filters[i].Name)
		}
	}
	if n.terminal == nil && !n.missing {
		return nil, fmt.Errorf("filters: none serves the connection")
	}
	return n, nil
}

// reassemble is assemble after a discovered filter changed; a filter that is not for
// its place leaves the chain as it is.
func (c *chain) reassemble() {
	if n, err := c.assemble(); err == nil {
		c.now.Store(n)
	}
}
