package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/weirproxy/weir/proxy/stats"
)

func (s *Server) stats(p *reply, r *http.Request, q url.Values) {
	switch format := q.Get("format"); format {
	case "", "text", "json":
		f, err := stats.ParseFilter(q)
		switch {
		case err != nil:
			p.text(http.StatusBadRequest, err.Error()+"\n")
		case format == "json":
			_ = s.o.Stats.WriteJSON(p.head(http.StatusOK, typeJSON), f)
		default:
			_ = s.o.Stats.WriteText(p.head(http.StatusOK, typeText), f)
		}
	case "prometheus":
		s.prometheus(p, r, q)
	case "html", "active-html":
		p.text(http.StatusBadRequest, fmt.Sprintf("format %q: valid in Envoy, not supported here\n", format))
	default:
		p.text(http.StatusBadRequest, "usage: /stats?format=(json|prometheus|text)\n\n")
	}
}

func (s *Server) prometheus(p *reply, _ *http.Request, q url.Values) {
	f, err := stats.ParseFilter(q)
	if err == nil && f.Buckets == stats.BucketsDisjoint {
		err = errors.New(`histogram_buckets "disjoint": Prometheus has cumulative buckets and summaries`)
	}
	if err != nil {
		p.text(http.StatusBadRequest, err.Error()+"\n")
		return
	}
	_ = s.o.Stats.WritePrometheus(p.head(http.StatusOK, typeText), f)
}
