package listener

import (
	"fmt"
	"slices"

	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy/netio"
)

// Intercepts tells whether connections are intercepted to a listener: it is
// transparent, or asks for original destinations.
func Intercepts(m *config.Listener) bool {
	return m.Transparent || slices.ContainsFunc(m.Filters, func(f config.ListenerFilter) bool {
		return f.Factory != nil && f.Factory.Name == "envoy.filters.listener.original_dst"
	})
}

// Attach opens the listener's addresses in another network namespace too, one
// socket each, and accepts there as soon as the listener runs. Connections to
// upstream hosts are made in upstream; nil is here. The path of a unix socket is
// no matter of network namespaces.
func (l *Listener) Attach(ns, upstream *netio.Namespace) error {
	l.stop.Lock()
	defer l.stop.Unlock()
	m := l.Config()
	if !m.BindToPort || l.hasStopped() || l.attached[ns] != nil {
		return nil
	}
	var sockets []*socket
	for i, a := range m.Addresses {
		if a.Pipe != "" || a.NetNS != "" {
			continue
		}
		s, err := open(a, ns, m, l.o.Loops, (len(l.attached)+i)%l.o.Workers)
		if err != nil {
			for _, s := range sockets {
				s.close()
			}
			return fmt.Errorf("listener %q: listen on %s in network namespace %s: %w", m.Name, a, ns, err)
		}
		s.upstream = upstream
		s.shard = &l.shards[(len(l.attached)+i)%l.o.Workers]
		sockets = append(sockets, s)
	}
	if l.attached == nil {
		l.attached = map[*netio.Namespace][]*socket{}
	}
	l.attached[ns] = sockets
	if l.ctx != nil {
		for _, s := range sockets {
			l.acceptors.Go(func() { l.accept(s) })
		}
	}
	return nil
}

// Detach closes the sockets that Attach opened, and the connections that were
// accepted there.
func (l *Listener) Detach(ns *netio.Namespace) {
	l.stop.Lock()
	sockets := l.attached[ns]
	delete(l.attached, ns)
	for _, s := range sockets {
		if l.ctx != nil {
			s.wake()
			<-s.done
		}
		s.close()
	}
	l.stop.Unlock()
	l.each(func(s *session) {
		if s.at.ns == ns {
			_ = s.raw.Close() // its goroutine notices
		}
	})
}

// everySocket lists the listener's sockets, here and elsewhere; l.stop is held.
func (l *Listener) everySocket() []*socket {
	out := slices.Clone(l.sockets)
	for _, s := range l.attached {
		out = append(out, s...)
	}
	return out
}
