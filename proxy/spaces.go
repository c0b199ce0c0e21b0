package proxy

import (
	"slices"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/listener"
	"github.com/weirproxy/weir/proxy/netio"
)

// A space is a network namespace in which listeners that connections are
// intercepted to have sockets.
type space struct {
	ns       *netio.Namespace
	upstream *netio.Namespace // where their connections to upstream hosts are made; nil: here
}

// Attach gives every listener that connections are intercepted to, those that are
// there and those to come, sockets in a network namespace. Connections to upstream
// hosts are made in upstream; nil is here. With an error nothing is attached.
func (p *Proxy) Attach(ns, upstream *netio.Namespace) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := space{ns, upstream}
	for _, l := range p.listeners {
		if err := s.attach(l.l); err != nil {
			p.detach(ns)
			return err
		}
	}
	p.spaces = append(p.spaces, s)
	p.log.Info("listening in network namespace", zap.Stringer("path", ns))
	return nil
}

// Detach takes the sockets in a network namespace away again, with the connections
// that were accepted there.
func (p *Proxy) Detach(ns *netio.Namespace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spaces = slices.DeleteFunc(p.spaces, func(s space) bool { return s.ns == ns })
	p.detach(ns)
}

// detach is Detach with p.mu held.
func (p *Proxy) detach(ns *netio.Namespace) {
	for _, l := range p.listeners {
		l.l.Detach(ns)
	}
	for l := range p.retired {
		l.l.Detach(ns)
	}
}

// attachAll gives a listener its sockets in every namespace; p.mu is held.
func (p *Proxy) attachAll(l *listener.Listener) error {
	for _, s := range p.spaces {
		if err := s.attach(l); err != nil {
			return err
		}
	}
	return nil
}

func (s space) attach(l *listener.Listener) error {
	if !listener.Intercepts(l.Config()) {
		return nil
	}
	return l.Attach(s.ns, s.upstream)
}
