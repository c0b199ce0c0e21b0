package admin

import (
	"net/http"
	"net/http/pprof"
	"net/url"
	"strings"
)

// pprofPath is where Go's profiles are, as in every Go program. (Envoy's
// /cpuprofiler and /heapprofiler write files of another format.)
const pprofPath = "/debug/pprof/"

// pprof gives the profiles of the Go runtime; `go tool pprof` reads them.
func (s *Server) pprof(p *reply, r *http.Request, _ url.Values) {
	p.w.Header().Set("Cache-Control", "no-cache, max-age=0")
	p.w.Header().Set("Server", serverName)
	switch strings.TrimPrefix(r.URL.Path, pprofPath) {
	case "cmdline":
		pprof.Cmdline(p.w, r)
	case "profile":
		pprof.Profile(p.w, r)
	case "symbol":
		pprof.Symbol(p.w, r)
	case "trace":
		pprof.Trace(p.w, r)
	default:
		pprof.Index(p.w, r)
	}
}
