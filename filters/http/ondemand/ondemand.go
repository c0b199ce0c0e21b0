// Package ondemand is envoy.filters.http.on_demand: what a request needs and this
// process does not have yet is asked for, and waited for. That may be the routes of
// its scope (SRDS on_demand), its virtual host (VHDS), and its cluster (ODCDS).
package ondemand

import (
	"bytes"
	"time"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
)

// clusterURL is the type of the clusters that are asked for.
const clusterURL = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

// routeTimeout is how long routes and virtual hosts are waited for. Envoy has no
// bound of its own there: the stream's idle timeout ends such a request.
const routeTimeout = 5 * time.Second

// filter is shared by all streams of its chain and immutable.
type filter struct {
	name     string
	own      *settings
	clusters *upstream.Manager
	discover filters.Discoverer // nil: there is nobody to ask
}

var _ filters.RequestHeaders = (*filter)(nil)

// OnRequestHeaders implements filters.RequestHeaders. Whatever comes of it, the
// request goes on: the router says what is missing.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	if f.discover == nil {
		return filters.Continue
	}
	if s.Route() == nil {
		if ref, ok := missing(s.Scope(), s.Table(), s.Authority); ok {
			if !f.wait(s, ref, routeTimeout) {
				return filters.Continue
			}
			s.Reroute()
		}
		// The routes of a scope may discover virtual hosts themselves.
		if ref, ok := missing(nil, s.Table(), s.Authority); ok && s.Route() == nil {
			if f.wait(s, ref, routeTimeout) {
				s.Reroute()
			}
		}
	}
	f.cluster(s)
	return filters.Continue
}

// missing says what a request without a route lacks: the routes of its scope, or
// its virtual host.
func missing(c *route.LiveScope, t *route.Table, authority []byte) (ref extension.Ref, ok bool) {
	switch {
	case c != nil && c.OnDemand && t == nil:
		return c.TableRef(c.Routes), true
	case t != nil && t.Discovers:
		// Envoy: the host as the client wrote it, with its port, in lower case.
		return extension.Ref{TypeURL: route.VirtualHostURL, Name: t.Name + "/" + string(bytes.ToLower(authority)), Source: t.From}, true
	}
	return ref, false
}

// cluster asks for the cluster of the route when nobody knows it.
func (f *filter) cluster(s *stream.Stream) {
	r, c := s.Route(), f.own
	if v, ok := s.RouteConfig(f.name); ok {
		if own, ok := v.(*settings); ok {
			c = own
		}
	}
	if !c.clusters || r == nil || r.Forward == nil {
		return
	}
	name, dynamic, _ := r.Forward.Pick(s.RouteRequest(), 0, false, nil)
	if name == "" {
		name = string(dynamic)
	}
	if _, known := f.clusters.Get(name); known || name == "" {
		return
	}
	f.wait(s, extension.Ref{TypeURL: clusterURL, Name: name, Source: c.from}, c.timeout)
}

// wait waits for an answer; false says that there was none in time, or that the
// client left.
func (f *filter) wait(s *stream.Stream, ref extension.Ref, d time.Duration) bool {
	answer := f.discover.Want(ref)
	select {
	case <-answer:
		return true
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-answer:
		return true
	case <-t.C:
	case <-s.Done():
	}
	return false
}
