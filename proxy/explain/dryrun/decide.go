package dryrun

import (
	"cmp"
	"fmt"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/hcm"
	"github.com/weirproxy/weir/proxy/hcm/recent"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// A Way is where a request goes.
type Way struct {
	Chain   string `json:"filter_chain,omitempty"`
	Route   string `json:"route,omitempty"`   // its name, or virtual host and place
	Cluster string `json:"cluster,omitempty"` // "" when the route answers itself
	Answer  string `json:"answer,omitempty"`  // what a route without a cluster does
	Lost    string `json:"lost,omitempty"`    // why it goes nowhere
}

// same tells whether two ways end at the same place: another name of a route is none.
func (w Way) same(o Way) bool {
	return w.Cluster == o.Cluster && w.Answer == o.Answer && (w.Lost == "") == (o.Lost == "")
}

// Decide takes a request through a configuration: filter chain, route, cluster.
func Decide(s *config.Snapshot, q *recent.Request) Way {
	l := s.Listener(q.Listener)
	if l == nil {
		return Way{Lost: fmt.Sprintf("there is no listener %q", q.Listener)}
	}
	c := info.Conn{
		Listener: q.Listener, Source: q.Source, DirectSource: q.Source, Dest: q.Dest, Local: q.Dest,
		Transport: q.Transport, ServerName: []byte(q.ServerName),
	}
	if q.ALPN != "" {
		c.ALPN = [][]byte{[]byte(q.ALPN)}
	}
	f := l.Selector.Select(&c, nil)
	if f == nil {
		return Way{Lost: "no filter chain matches"}
	}
	w := Way{Chain: f.Label()}
	if len(f.Filters) == 0 {
		return w
	}
	cfg, ok := f.Filters[len(f.Filters)-1].Config.(*hcm.Config)
	switch {
	case !ok:
		w.Answer = "not HTTP: " + f.Filters[len(f.Filters)-1].Name
		return w
	case cfg.Scopes != nil:
		w.Answer = "scoped routes, which are not looked into"
		return w
	}
	t := cfg.Table
	if t == nil {
		t = s.Route(cmp.Or(cfg.RouteKey, cfg.RouteName))
	}
	if t == nil {
		w.Lost = fmt.Sprintf("there is no route configuration %q", cfg.RouteName)
		return w
	}
	w.route(s, t, q)
	return w
}

// route matches a request in a table.
func (w *Way) route(s *config.Snapshot, t *route.Table, q *recent.Request) {
	h := &header.Headers{}
	h.AddString(header.Method, q.Method)
	h.AddString(header.Authority, q.Host)
	h.AddString(header.Path, q.Path)
	for name, v := range q.HeaderField {
		h.AddString(header.Intern(name), v)
	}
	r := &route.Request{
		Authority: []byte(q.Host), Path: []byte(q.Path), Method: []byte(q.Method), Headers: h, Rand: q.Rand, TLS: q.TLS,
	}
	m := t.Match(r, nil)
	if m == nil {
		w.Lost = "no route matches"
		return
	}
	if w.Route = m.Name; w.Route == "" {
		w.Route = fmt.Sprintf("%s.routes[%d]", m.VirtualHost.Name, m.Index)
	}
	switch {
	case m.Redirect != nil:
		w.Answer = "redirect"
	case m.Direct != nil:
		w.Answer = fmt.Sprint("direct response ", m.Direct.Code)
	case m.Forward != nil:
		name, dynamic, _ := m.Forward.Pick(r, 0, false, nil)
		if name == "" && len(dynamic) == 0 {
			w.Answer = "the cluster that a header names"
			return
		}
		if w.Cluster = name; name == "" {
			w.Cluster = string(dynamic)
		}
		if s.Clusters[w.Cluster] == nil {
			w.Lost = fmt.Sprintf("route %s: there is no cluster %q", w.Route, w.Cluster)
		}
	}
}
