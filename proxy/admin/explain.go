package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	confroute "github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/explain"
	"github.com/weirproxy/weir/proxy/flows"
)

// explain answers where a connection and a request would go, by the configuration in force and the clusters as they are.
func (s *Server) explain(p *reply, _ *http.Request, q url.Values) {
	if q.Has("flow") {
		s.explainFlow(p, q)
		return
	}
	var ask explain.Question
	if err := json.Unmarshal([]byte(q.Get("q")), &ask); err != nil {
		p.text(http.StatusBadRequest, "q is not a question in JSON: "+err.Error()+"\n")
		return
	}
	w := s.world()
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

// world is the configuration in force, with the clusters as they are.
func (s *Server) world() explain.World {
	w := explain.World{Snapshot: s.o.Proxy.Snapshot(), Clusters: s.o.Proxy.Clusters()}
	if live, ok := s.o.Proxy.(interface {
		Table(key string) *confroute.Table
	}); ok {
		w.Table = live.Table
	}
	return w
}

// explainFlow answers where a flow went, and where it would go now.
func (s *Server) explainFlow(p *reply, q url.Values) {
	t, w := s.o.Proxy.Flows(), s.world()
	if t == nil || w.Snapshot == nil {
		unable(p, "explain of flows")
		return
	}
	id := q.Get("flow")
	found := s.listFlows(t, &flows.Filter{IDs: []string{id}}, maxFlows, false).Flows
	at := slices.IndexFunc(found, func(f flows.Flow) bool { return f.ID == id || f.RequestID == id })
	if at < 0 {
		p.text(http.StatusNotFound, "no flow "+strconv.Quote(id)+" is live or kept\n")
		return
	}
	a := w.AskFlow(&found[at])
	if q.Get("format") == "text" {
		p.text(http.StatusOK, a.Text())
		return
	}
	p.value(a)
}
