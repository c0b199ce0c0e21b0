package listener

import (
	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/listener/names"
)

// checkName judges the server name that was sniffed, and readies the connection for the names that its requests
// will give; false says that the connection is refused (docs/sniffing.md).
func (l *Listener) checkName(s *session) bool {
	p := &s.g.m.Sniffing.NameCheck
	i := &s.Info
	if i.ECH {
		l.stats.ECH.Inc()
	}
	if p.Policy == config.AllowNames || l.o.Names == nil || !i.Intercepted && !i.DestRestored {
		return true
	}
	s.Conn.NameCheck = func(host []byte, final bool) (info.NameVerdict, bool) {
		var room [256]byte
		name := names.Host(room[:0], host)
		if p.Policy == config.DenyNames && !final {
			v := l.o.Names.Wait(l.ctx, name, i.Dest.Addr(), p.Wait)
			return v, v == info.NameMismatch
		}
		v, _ := l.o.Names.Check(name, i.Dest.Addr())
		return v, false
	}
	switch {
	case len(i.ServerName) == 0:
		return true
	case i.ECH && !p.ECH:
		i.NameCheck = info.NameUntrusted
		return true
	}
	var deny bool
	if i.NameCheck, deny = s.Conn.NameCheck(i.ServerName, false); deny {
		l.stats.NameDenied.Inc()
		i.Details = "name_mismatch"
	}
	return !deny
}

// countName counts what was found of the server name in the end: a look-up that nothing waited for is over by now.
func (l *Listener) countName(s *session) {
	i := &s.Info
	if i.NameCheck == info.NameUnknown {
		i.NameCheck, _ = s.Conn.NameCheck(i.ServerName, true)
	}
	switch i.NameCheck {
	case info.NameMismatch:
		l.stats.NameMismatch.Inc()
	case info.NameUnknown:
		l.stats.NameUnknown.Inc()
	case info.NameUntrusted:
		l.stats.NameUntrusted.Inc()
	}
}
