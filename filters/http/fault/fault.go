// Package fault is envoy.filters.http.fault: it delays or aborts a share of the
// requests, to see how clients and services bear it.
package fault

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// Stats are the statistics of the filter, under http.<stat_prefix>.fault.
type Stats struct {
	Delays   *stats.Counter `stat:"delays_injected"`
	Aborts   *stats.Counter `stat:"aborts_injected"`
	Overflow *stats.Counter `stat:"faults_overflow"`
	Active   *stats.Gauge   `stat:"active_faults"`
}

// filter is one fault filter of a chain.
type filter struct {
	name   string
	cfg    *settings
	stats  *Stats
	faulty stream.Slot[bool] // the stream counts as an active fault
	active atomic.Int64      // what Stats.Active shows, for an exact limit
}

var (
	_ filters.RequestHeaders = (*filter)(nil)
	_ filters.StreamEnd      = (*filter)(nil)
)

var (
	delayRequest    = header.Intern("x-envoy-fault-delay-request")
	delayPercentage = header.Intern("x-envoy-fault-delay-request-percentage")
	abortRequest    = header.Intern("x-envoy-fault-abort-request")
	abortGRPC       = header.Intern("x-envoy-fault-abort-grpc-request")
	abortPercentage = header.Intern("x-envoy-fault-abort-request-percentage")
	downstreamNode  = header.Intern("x-envoy-downstream-service-node")
)

// OnRequestHeaders implements filters.RequestHeaders. A delay may be followed by
// an abort: the two are drawn apart.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	c := f.settingsFor(s)
	if !c.applies(s) {
		return filters.Continue
	}
	if d := c.delay.duration(s); d > 0 && f.take(c, s) {
		f.stats.Delays.Inc()
		s.Info.Flags |= info.DelayInjected
		if !wait(s, d) {
			return filters.Stop
		}
	}
	if code, st := c.abort.status(s); code > 0 && f.take(c, s) {
		f.stats.Aborts.Inc()
		if st != grpc.Invalid {
			s.SetGRPCStatus(st)
		}
		s.Reply(code, info.FaultInjected, "fault_filter_abort", "fault filter abort")
		return filters.Stop
	}
	return filters.Continue
}

// OnStreamEnd implements filters.StreamEnd.
func (f *filter) OnStreamEnd(s *stream.Stream) {
	if *f.faulty.Of(s) {
		f.active.Add(-1)
		f.stats.Active.Dec()
	}
}

// settingsFor gives the route's settings, which replace the filter's.
func (f *filter) settingsFor(s *stream.Stream) *settings {
	if v, ok := s.RouteConfig(f.name); ok {
		if c, ok := v.(*settings); ok {
			return c
		}
	}
	return f.cfg
}

// take makes the stream an active fault, if there may be one more. A stream with
// a delay and an abort is one.
func (f *filter) take(c *settings, s *stream.Stream) bool {
	faulty := f.faulty.Of(s)
	if *faulty {
		return true
	}
	if uint64(f.active.Add(1)) > c.maxKey.Uint(uint64(c.maxActive)) {
		f.active.Add(-1)
		f.stats.Overflow.Inc()
		return false
	}
	f.stats.Active.Inc()
	*faulty = true
	return true
}

// wait lets the delay pass, no longer than the stream may live; false says that
// the client left meanwhile.
func wait(s *stream.Stream, d time.Duration) bool {
	if !s.MaxDeadline.IsZero() {
		d = min(d, time.Until(s.MaxDeadline))
	}
	if s.Sleep(d) {
		return true
	}
	s.Info.Flags |= info.DownstreamConnectionTermination
	s.Info.Details = "downstream_remote_disconnect"
	s.MustClose()
	return false
}

// settings is a compiled HTTPFault. It is immutable.
type settings struct {
	delay     delay
	abort     abort
	cluster   string // upstream_cluster
	nodes     []string
	headers   []match.Header
	maxActive int64
	maxKey    *runtime.Key // of maxActive, like the other keys: what the runtime says counts
}

// applies tells whether the request is one of those that faults are meant for.
func (c *settings) applies(s *stream.Stream) bool {
	if c.cluster != "" && !c.clusterIs(s) {
		return false
	}
	if len(c.nodes) > 0 {
		v, ok := s.Request.Get(downstreamNode)
		if !ok || !slices.ContainsFunc(c.nodes, func(n string) bool { return n == string(v) }) {
			return false
		}
	}
	return match.MatchHeaders(c.headers, &s.Request, nil, nil)
}

// clusterIs compares the cluster the route leads to, as the router will pick it.
func (c *settings) clusterIs(s *stream.Stream) bool {
	rt := s.Route()
	if rt == nil || rt.Forward == nil {
		return false
	}
	name, dynamic, _ := rt.Forward.Pick(s.RouteRequest(), 0, false, nil)
	if name == "" {
		return string(dynamic) == c.cluster
	}
	return name == c.cluster
}

// delay is a compiled FaultDelay.
type delay struct {
	share      share
	fixed      time.Duration
	key        *runtime.Key // milliseconds
	fromHeader bool
}

func (d *delay) duration(s *stream.Stream) time.Duration {
	if !d.fromHeader {
		if d.fixed == 0 || !d.share.hit(s, d.share.num) {
			return 0
		}
		if v := d.key.Value(); v != nil {
			if ms, ok := v.Uint(); ok {
				return time.Duration(min(ms, maxDelay)) * time.Millisecond
			}
		}
		return d.fixed
	}
	ms, ok := number(s, delayRequest)
	if !ok || !d.share.hitBelow(s, delayPercentage) {
		return 0
	}
	return time.Duration(min(d.key.Uint(ms), maxDelay)) * time.Millisecond
}

// maxDelay bounds what a request may ask for, in milliseconds: a day.
const maxDelay = 24 * 60 * 60 * 1000

// abort is a compiled FaultAbort.
type abort struct {
	share      share
	fixed      int
	fixedGRPC  grpc.Status // grpc.Invalid: what stands for fixed
	fromHeader bool

	key, keyGRPC *runtime.Key // of fixed and of fixedGRPC
}

// status gives the status to answer with, 0 for none, and its grpc-status if that
// was asked for.
func (a *abort) status(s *stream.Stream) (int, grpc.Status) {
	if !a.fromHeader {
		if a.fixed == 0 || !a.share.hit(s, a.share.num) {
			return 0, grpc.Invalid
		}
		return a.live(a.fixed, a.fixedGRPC)
	}
	code, st := uint64(0), grpc.Invalid
	if n, ok := number(s, abortRequest); ok && n >= 200 && n <= 599 {
		code = n
	} else if n, ok := number(s, abortGRPC); ok && n <= uint64(grpc.Unauthenticated) {
		st = grpc.Status(n)
		code = uint64(st.HTTP())
	}
	if code == 0 || !a.share.hitBelow(s, abortPercentage) {
		return 0, grpc.Invalid
	}
	return a.live(int(code), st)
}

// live is a status, or what the runtime says in its place. A value that is no status is passed over.
func (a *abort) live(code int, st grpc.Status) (int, grpc.Status) {
	if st == grpc.Invalid {
		if n := a.key.Uint(uint64(code)); n >= 200 && n <= 599 {
			code = int(n)
		}
		return code, st
	}
	if n := a.keyGRPC.Uint(uint64(st)); n <= uint64(grpc.Unauthenticated) {
		st = grpc.Status(n)
		code = st.HTTP()
	}
	return code, st
}

// share is a FractionalPercent whose numerator a request may lower.
type share struct {
	num, den, salt uint64
	key            *runtime.Key // what it says goes before the request
}

func (p share) hit(s *stream.Stream, num uint64) bool {
	now := p.key.Share(runtime.Share{Num: num, Den: p.den})
	return now.Num > 0 && (now.Num >= now.Den || match.Draw(s.Rand(), p.salt, now.Den) < now.Num)
}

// hitBelow takes the numerator from a header, if it is there and lower.
func (p share) hitBelow(s *stream.Stream, n header.Name) bool {
	num := p.num
	if v, ok := number(s, n); ok {
		num = min(num, v)
	}
	return p.hit(s, num)
}

func number(s *stream.Stream, n header.Name) (uint64, bool) {
	return match.ParseUint(bytes.TrimSpace(s.Request.Value(n)))
}
