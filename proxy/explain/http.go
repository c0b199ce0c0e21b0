package explain

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters/http/router"
	"github.com/weirproxy/weir/proxy/hcm"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// http goes on with a request.
func (w World) http(q *Question, cfg *hcm.Config, c *info.Conn, a *Answer) {
	table := w.table(cfg, q, a)
	if table == nil {
		return
	}
	draw, drawn := rand.Uint64(), "at random: the next request may draw another"
	if q.Draw != nil {
		draw, drawn = *q.Draw, "as asked"
	}
	version := info.HTTP11
	if q.HTTP2 {
		version = info.HTTP2
	}
	r := cfg.Rehearse(c, version, q.head(), table, draw)
	s := r.Stream
	switch {
	case r.Code != 0:
		a.Code, a.Details, a.Reached = r.Code, r.Details, r.Code < 400
		a.Outcome = fmt.Sprintf("answered %d by the connection manager: %s", r.Code, r.Details)
		a.note("request", false, "connection manager", "%s", r.Details)
		return
	case q.Draw != nil:
		s.SetRand(draw)
	case q.has("x-request-id") && s.Rand() != draw:
		drawn = "of its request id"
	}
	a.note("request", true, "request", "%s %s%s; its random number is %d (%s)", s.Method, s.Authority, s.Path, s.Rand(), drawn)
	for _, f := range cfg.Filters {
		if !f.Disabled && f.Name != routerName && (f.Factory == nil || f.Factory.Name != routerName) {
			a.note("http filters", true, f.Name, "is not run here: it may %s", may(&f))
		}
	}
	var tr match.Trace
	rt := table.Match(s.RouteRequest(), &tr)
	a.add("route", &tr)
	if rt == nil {
		a.Code, a.Details, a.Outcome = 404, "route_not_found", "answered 404: no route"
		return
	}
	a.VirtualHost, a.Route = rt.VirtualHost.Name, label(rt)
	w.action(s, rt, a)
}

// may is what a filter before the router could do to a request.
func may(f *extension.Parsed) string {
	name := f.Name
	if f.Factory != nil {
		name = f.Factory.Name
	}
	switch name {
	case "envoy.filters.http.rbac":
		return "answer 403"
	case "envoy.filters.http.local_ratelimit", "envoy.filters.http.ratelimit":
		return "answer 429"
	case "envoy.filters.http.cors":
		return "answer a preflight request"
	case "envoy.filters.http.fault":
		return "delay the request, or answer in its place"
	case "envoy.filters.http.health_check":
		return "answer a health check"
	case "envoy.filters.http.header_mutation":
		return "change header fields, which routes matched again would see"
	case "envoy.filters.http.on_demand":
		return "ask the control plane for a route or cluster that is missing"
	case "envoy.filters.http.grpc_stats":
		return "count, and changes nothing"
	}
	return "answer, or change what follows"
}

const routerName = "envoy.filters.http.router"

// has tells whether the question has a field.
func (q *Question) has(name string) bool {
	return slices.ContainsFunc(q.Headers, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// table finds the route table that the connection manager looks into.
func (w World) table(cfg *hcm.Config, q *Question, a *Answer) *route.Table {
	if cfg.Scopes != nil {
		return w.scoped(cfg.Scopes, q, a)
	}
	if cfg.Table != nil {
		a.RouteConfig = &Resource{Name: cfg.Table.Name}
		if a.Listener != nil {
			a.RouteConfig.Version, a.RouteConfig.Static = a.Listener.Version, a.Listener.Static
		}
		return cfg.Table
	}
	return w.discovered(cmp.Or(cfg.RouteKey, cfg.RouteName), cfg.RouteName, a)
}

// discovered is a table that RDS brings.
func (w World) discovered(key, name string, a *Answer) *route.Table {
	a.RouteConfig = resource(w.Snapshot.Routes[key], name)
	t := w.Snapshot.Route(key)
	if w.Table != nil {
		t = w.Table(key)
	}
	if t == nil {
		a.Code, a.Details = 404, "route_configuration_not_found"
		a.Outcome = fmt.Sprintf("answered 404: route configuration %q is not there", name)
		a.note("route", false, "route configuration "+name, "not received yet")
	}
	return t
}

// scoped finds the table by the scope of the request.
func (w World) scoped(c *hcm.Scopes, q *Question, a *Answer) *route.Table {
	all := c.Inline
	for key, r := range w.Snapshot.Scopes {
		if c.Source != "" && "*"+strings.TrimPrefix(key, r.Name) == c.Source {
			all = append(all[:len(all):len(all)], w.Snapshot.Scope(key))
		}
	}
	by := &route.Scopes{By: map[string]*route.LiveScope{}}
	for _, s := range all {
		by.By[s.Key] = &route.LiveScope{Scope: s}
	}
	g := route.Scoping{Name: c.Name, Key: c.Key, Live: new(route.LiveScopes)}
	g.Live.Store(by)
	var tr match.Trace
	s := by.By[q.Scope]
	if q.Scope == "" {
		s, _ = g.Find(q.head(), nil, &tr)
	} else if s != nil {
		tr.Note(true, "scope "+strconv.Quote(s.Name), "it has the request's key")
	}
	a.add("scope", &tr)
	switch {
	case s == nil:
		a.Code, a.Details, a.Outcome = 404, "route_not_found", "answered 404: no scope of routes has the request"
		return nil
	case s.Table != nil:
		a.RouteConfig = &Resource{Name: s.Table.Name}
		return s.Table
	}
	return w.discovered(s.TableRef(c.Routes).Key(), s.RouteName, a)
}

// head makes the request's head.
func (q *Question) head() *header.Headers {
	h := new(header.Headers)
	h.AddString(header.Method, q.Method)
	if q.Host != "" {
		h.AddString(header.Authority, q.Host)
	}
	if q.Path != "" {
		h.AddString(header.Path, q.Path)
	}
	for _, f := range q.Headers {
		h.AddRaw([]byte(f.Name), []byte(f.Value))
	}
	return h
}

// label names a route by its name, else by its place.
func label(rt *route.Route) string {
	switch {
	case rt.Name != "":
		return rt.Name
	case rt.Index < 0:
		return "require_tls"
	}
	return "routes[" + strconv.Itoa(rt.Index) + "]"
}

// action goes on with what a route does.
func (w World) action(s *stream.Stream, rt *route.Route, a *Answer) {
	switch {
	case rt.Redirect != nil:
		a.Code, a.Reached = rt.Redirect.Code, true
		a.Outcome = fmt.Sprintf("answered %d: redirect", a.Code)
		return
	case rt.Direct != nil:
		a.Code, a.Reached = rt.Direct.Code, true
		a.Outcome = fmt.Sprintf("answered %d: direct response", a.Code)
		return
	case rt.Forward == nil:
		a.Outcome = "the route does nothing"
		return
	}
	var tr match.Trace
	p := router.PreviewOf(s, &tr)
	a.add("cluster", &tr)
	a.Budget = &Budget{
		Timeout: ms(p.Timeout), PerTry: ms(p.PerTry), PerTryIdle: ms(p.PerTryIdle), Idle: ms(p.Idle), Max: ms(p.Max), Retries: p.Retries,
	}
	if c := w.Snapshot.Cluster(p.Cluster); c != nil {
		a.Budget.Connect = ms(c.ConnectTimeout)
	}
	w.cluster(p.Cluster, p.Pick, a)
	if a.Details == "cluster_not_found" {
		a.Code = rt.Forward.NotFoundCode
	} else if !a.Reached {
		a.Code = 503
	}
	if a.Outcome == "" {
		a.Outcome = "forwarded to " + a.where()
	}
}

func ms(d time.Duration) int64 { return d.Milliseconds() }
