package listener

import (
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/info"
)

// LiveFlows calls f for every connection that goes on. f must not wait: connections of the same worker cannot begin or end meanwhile.
func (l *Listener) LiveFlows(f func(flows.Live)) {
	l.each(func(s *session) { f(s.view()) })
}

// view is what may be read of a connection while it is served.
func (s *session) view() flows.Live {
	st := s.Stage()
	v := flows.Live{State: [...]string{"sniffing", "live", "live", "live"}[st], Wire: s.raw.Transferred}
	from := &s.Info
	v.Conn = info.Conn{ID: from.ID, Start: from.Start, Listener: from.Listener, Source: from.DirectSource, Dest: from.Local}
	if st < conn.Chosen {
		return v
	}
	i := &v.Conn
	i.Source, i.Dest, i.FilterChain = from.Source, from.Dest, from.FilterChain
	i.Transport, i.ServerName, i.ALPN, i.ECH = from.Transport, from.ServerName, from.ALPN, from.ECH
	i.JA3, i.JA4, i.SniffNote = from.JA3, from.JA4, from.SniffNote
	if st >= conn.Secured {
		i.TLSVersion, i.NegotiatedALPN = from.TLSVersion, from.NegotiatedALPN
	}
	if st >= conn.Connected {
		i.UpstreamCluster, i.UpstreamHost = from.UpstreamCluster, from.UpstreamHost
	}
	return v
}

// Kill ends a connection, or one stream of it where that is possible; stream 0 is the connection. It tells whether it was there, and
// whether the whole connection ends.
func (l *Listener) Kill(id, stream uint64) (found, whole bool) {
	l.each(func(s *session) {
		if s.Info.ID != id {
			return
		}
		found = true
		if stream != 0 {
			s.Conn.Kill()
			if able, there := s.Cancel(stream); able {
				found = there
				return
			}
		}
		whole = true
		s.Conn.Kill()
		_ = s.raw.Reset()
	})
	return found, whole
}
