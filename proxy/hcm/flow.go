package hcm

import (
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/stream"
)

// track makes a request one of the flows that are shown.
func (m *Manager) track(s *stream.Stream) {
	if m.flows == nil {
		return
	}
	h := flows.Head{
		Conn: &s.Conn.Info, Info: &s.Info, Loop: s.Conn.Loop, Method: s.Method, Authority: s.Authority, Path: s.Path,
		Request: &s.Request, TLS: s.TLS, Rand: s.Rand(),
	}
	if m.scoping != nil {
		h.Scope = func() string {
			if c := s.Scope(); c != nil {
				return c.Key
			}
			return ""
		}
	}
	s.Flow = m.flows.Begin(&h)
}
