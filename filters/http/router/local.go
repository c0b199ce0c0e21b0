package router

import (
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// redirect answers with a Location (Envoy: RedirectAction).
func (f *filter) redirect(s *stream.Stream, rt *route.Route) {
	f.chosen(s, rt)
	var b [512]byte
	s.Response.Set(header.Location, rt.Redirect.AppendLocation(b[:0], s.RouteRequest()))
	f.local(s, rt)
	s.Reply(rt.Redirect.Code, 0, "direct_response", "")
}

// direct answers with a configured body (Envoy: DirectResponseAction).
func (f *filter) direct(s *stream.Stream, rt *route.Route) {
	f.chosen(s, rt)
	f.local(s, rt)
	s.Reply(rt.Direct.Code, 0, "direct_response", string(rt.Direct.Body))
}

func (f *filter) chosen(s *stream.Stream, rt *route.Route) {
	s.Info.Route = rt.Name
	if rt.VirtualHost != nil {
		s.Info.VirtualHost = rt.VirtualHost.Name
	}
}

// local applies the route's response changes to a response of our own.
func (f *filter) local(s *stream.Stream, rt *route.Route) {
	vars := route.Vars{Conn: &s.Conn.Info, Stream: &s.Info, Request: &s.Request, Response: &s.Response, Hostname: f.hostname}
	rt.MutateResponse(nil, &s.Response, &vars)
}
