package router

import (
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
)

// A Preview is what the router decides about a request before it sends anything.
type Preview struct {
	Cluster string // by name, or as a request header says; "" when that is not there
	Weight  *route.ClusterWeight
	Pick    upstream.PickInfo // what the host is chosen by

	// The bounds, with what the request's own fields change; zero is off.
	Timeout, PerTry, PerTryIdle, Idle time.Duration
	Max                               time.Duration // of the whole stream

	Retries uint32 // that may be made; 0 without a policy
}

// PreviewOf does what ServeStream begins with for a request whose route forwards it,
// by the same functions; the trace says how. The request is changed as there.
func PreviewOf(s *stream.Stream, tr *match.Trace) Preview {
	e := newExchange()
	e.begin(new(filter), s, s.Route())
	name, dynamic, w := e.choose(tr)
	if name == "" {
		name = string(dynamic)
	}
	v := Preview{
		Cluster: name, Weight: w, Pick: e.pick,
		Timeout: e.bounds.route, PerTry: e.bounds.perTry, PerTryIdle: e.bounds.perTryIdle, Idle: e.bounds.idle,
		Retries: e.plan.left,
	}
	if !e.bounds.max.IsZero() {
		v.Max = e.bounds.max.Sub(s.Info.Start)
	}
	return v
}
