package listener

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/sniff"
)

// explain logs a connection that no filter chain takes: what was seen of it, which
// chain came nearest, and what it lacked for that one.
func (l *Listener) explain(s *session) {
	dropped, ok := l.misses.allow(s.started)
	if !ok {
		return
	}
	i := &s.Info
	chain, criterion, wanted, got := s.g.m.Selector.Nearest(i)
	l.log.Warn("no filter chain takes the connection",
		zap.Stringer("destination", i.Dest), zap.Stringer("source", i.Source),
		zap.String("transport_protocol", string(i.Transport)), zap.ByteString("server_name", i.ServerName),
		zap.ByteString("application_protocols", bytes.Join(i.ALPN, []byte(","))),
		zap.String("looks_like", sniff.ClientLabel(s.In.Bytes())), zap.String("note", i.SniffNote),
		zap.String("nearest", chain), zap.String("criterion", criterion), zap.String("wanted", wanted), zap.String("got", got),
		zap.Uint64("dropped_lines", dropped))
}

// selfDialled notices a connection that could lead back here: an intercepting
// listener was dialled at an address of this process's own, so that its original
// destination is the listener itself. A transparent listener, which nobody dials on
// purpose, refuses it; elsewhere it may go to any cluster but that of original
// destinations. A chain that names the port or the address wants such connections.
func (l *Listener) selfDialled(s *session, m *config.FilterChain) bool {
	if l.o.OwnListeners == nil || !s.g.m.Transparent && !s.g.restore {
		return false
	}
	dst := s.Info.Dest
	if named(m, dst) || !ours(l.o.OwnListeners(), dst, s.at.ns) {
		return false
	}
	s.Info.SelfDial = true
	if !s.g.m.Transparent {
		return false
	}
	l.stats.SelfDialRefused.Inc()
	s.Info.Flags |= info.NoRoute
	s.Info.Details = "self_dial_refused"
	if dropped, ok := l.selfDial.allow(time.Now()); ok {
		l.log.Warn("refused a connection to an address of our own listeners: it would come back here",
			zap.Stringer("destination", dst), zap.Stringer("source", s.Info.Source), zap.Uint64("dropped_lines", dropped))
	}
	return true
}

// named tells whether a chain's match asks for the port or for a part of the
// addresses that the destination is in.
func named(m *config.FilterChain, dst netip.AddrPort) bool {
	if m.Match == nil {
		return false
	}
	if m.Match.DestinationPort != 0 {
		return true
	}
	for _, p := range m.Match.Prefixes {
		if p.Bits() > 0 {
			return true
		}
	}
	return false
}

// ours tells whether an address is one of those listened on. A listener on the
// unspecified address has every address of the machine.
func ours(own []netip.AddrPort, dst netip.AddrPort, ns *netio.Namespace) bool {
	if !dst.IsValid() {
		return false
	}
	wildcard := false
	for _, o := range own {
		if o.Port() != dst.Port() {
			continue
		}
		if o.Addr().Unmap() == dst.Addr().Unmap() {
			return true
		}
		wildcard = wildcard || o.Addr().IsUnspecified()
	}
	return wildcard && machines(dst.Addr().Unmap(), ns)
}

// machines tells whether the address is one of this machine's, in a network
// namespace. It is asked for
// destinations with the port of a listener of ours only.
func machines(a netip.Addr, ns *netio.Namespace) bool {
	if a.IsLoopback() {
		return true
	}
	var all []net.Addr
	err := ns.Do(func() (err error) { all, err = net.InterfaceAddrs(); return err })
	if err != nil {
		return false
	}
	for _, n := range all {
		if ipn, ok := n.(*net.IPNet); ok {
			if b, ok := netip.AddrFromSlice(ipn.IP); ok && b.Unmap() == a.WithZone("") {
				return true
			}
		}
	}
	return false
}
