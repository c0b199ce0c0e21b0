package admin

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/weirproxy/weir/proxy/stats"
)

// statsUsage is what Envoy answers to a format that it does not know.
const statsUsage = "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"

func (s *Server) stats(p *reply, r *http.Request, q url.Values) {
	format := q.Get("format")
	switch format {
	case "", "text", "json", "html", "active-html":
	case "prometheus":
		s.prometheus(p, r, q)
		return
	default:
		p.text(http.StatusBadRequest, statsUsage)
		return
	}
	f, err := stats.ParseFilter(q)
	if err != nil {
		p.text(http.StatusBadRequest, err.Error())
		return
	}
	s.flush()
	switch format {
	case "json":
		_ = s.o.Stats.WriteJSON(p.head(http.StatusOK, typeJSON), f)
	case "html", "active-html":
		s.statsPage(p, q, f)
	default:
		_ = s.o.Stats.WriteText(p.head(http.StatusOK, typeText), f)
	}
}

// flush ends an interval, where looking does so.
func (s *Server) flush() {
	if s.o.FlushOnAdmin {
		s.o.Stats.Flush()
	}
}

func (s *Server) prometheus(p *reply, _ *http.Request, q url.Values) {
	f, err := stats.ParseFilter(q)
	if err == nil && (f.Buckets == stats.BucketsDisjoint || f.Buckets == stats.BucketsDetailed) {
		err = fmt.Errorf("unsupported prometheus histogram bucket mode")
	}
	if err != nil {
		p.text(http.StatusBadRequest, err.Error())
		return
	}
	s.flush()
	_ = s.o.Stats.WritePrometheus(p.head(http.StatusOK, typeText), f)
}
