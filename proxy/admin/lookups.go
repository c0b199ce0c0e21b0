package admin

import (
	"net/http"
	"net/url"
)

// Envoy records look-ups of statistics by name, which take a lock there. Here
// names are looked up when configuration is applied only, so that there is nothing
// to record; what is answered is what Envoy answers when nothing was looked up.

func (s *Server) lookups(p *reply, _ *http.Request, _ url.Values) {
	if !s.lookup.Load() {
		p.text(http.StatusOK, "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n")
		return
	}
	p.text(http.StatusOK, "   Count Lookup\n\ntotal: 0\n")
}

func (s *Server) lookupsEnable(p *reply, _ *http.Request, _ url.Values) {
	s.lookup.Store(true)
	p.text(http.StatusOK, ok)
}

func (s *Server) lookupsDisable(p *reply, _ *http.Request, _ url.Values) {
	s.lookup.Store(false)
	p.text(http.StatusOK, ok)
}

func (s *Server) lookupsClear(p *reply, _ *http.Request, _ url.Values) { p.text(http.StatusOK, ok) }
