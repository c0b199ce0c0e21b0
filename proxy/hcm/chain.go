package hcm

import (
	"sync"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// A link is one filter of the manager, or the *filters.Discovered in its place.
type link struct {
	name   string
	filter any
}

// serving is the chain that streams begin in, and the pool of these streams. A
// discovered configuration that changes makes another one; streams under way end in
// the chain they began in.
type serving struct {
	chain   *stream.Chain
	streams sync.Pool // of *stream.Stream, all of this chain
}

// assemble makes the chain of the filters as they are now.
func (m *Manager) assemble() {
	named := make([]stream.Named, len(m.links))
	for i, l := range m.links {
		named[i] = stream.Named{Name: l.name, Filter: l.filter}
		d, ok := l.filter.(*filters.Discovered)
		if !ok {
			continue
		}
		if x := d.Instance(); x != nil {
			named[i].Filter, named[i].Keep = x.Filter, x
		} else {
			named[i].Filter = unconfigured{}
		}
	}
	v := &serving{chain: stream.NewChain(named, m.slots, m)}
	v.streams.New = func() any { return stream.New(v.chain) }
	m.now.Store(v)
}

// unconfigured stands in the place of a filter that has no configuration: it
// answers, as nobody knows what the filter would have said (Envoy:
// MissingConfigFilter).
type unconfigured struct{}

// OnRequestHeaders implements filters.RequestHeaders.
func (u unconfigured) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	s.Reply(500, info.NoFilterConfig, "", "")
	return filters.Stop
}

// ServeStream implements filters.Terminal, for a route that switches the filter off.
func (u unconfigured) ServeStream(s *stream.Stream) error {
	u.OnRequestHeaders(s)
	return nil
}
