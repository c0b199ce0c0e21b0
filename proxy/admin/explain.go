package admin

import (
	"encoding/json"
	"net/http"
	"net/url"

	confroute "github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/explain"
)

// explain answers where a connection and a request would go, by the configuration in force and the clusters as they are.
func (s *Server) explain(p *reply, _ *http.Request, q url.Values) {
	var ask explain.Question
	if err := json.Unmarshal([]byte(q.Get("q")), &ask); err != nil {
		p.text(http.StatusBadRequest, "q is not a question in JSON: "+err.Error()+"\n")
		return
	}
	w := explain.World{Snapshot: s.o.Proxy.Snapshot(), Clusters: s.o.Proxy.Clusters()}
	if live, ok := s.o.Proxy.(interface {
		Table(key string) *confroute.Table
	}); ok {
		w.Table = live.Table
	}
	if w.Snapshot == nil {
		p.text(http.StatusServiceUnavailable, "there is no configuration yet\n")
		return
	}
	a := w.Ask(ask)
	if q.Get("format") == "text" {
		p.text(http.StatusOK, a.Text())
		return
	}
	p.value(a)
}
