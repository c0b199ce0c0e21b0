package router

import (
	"strconv"
	"time"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// bounds are the timeouts of one request: the route's, with what the request's
// own fields change. Zero is off.
type bounds struct {
	route      time.Duration // from the whole request to the whole response, retries included
	idle       time.Duration // without any byte either way
	perTry     time.Duration // one try, from the whole request
	perTryIdle time.Duration
	max        time.Time // the stream must be over by then
}

// set takes the bounds of a route (Envoy: RouteAction.timeout, idle_timeout,
// max_stream_duration) and those in the fields of a request that may set them;
// the connection manager has removed the fields of one that may not.
func (b *bounds) set(s *stream.Stream, fw *route.Forward) {
	t := &fw.Timeouts
	*b = bounds{route: t.Route, idle: s.Idle, max: s.MaxDeadline}
	if t.IdleSet {
		b.idle = t.Idle
	}
	if t.OfStream {
		b.ofStream(s, t)
	}
	if t.MaxGrpcSet && !t.OfStream && grpc.Is(&s.Request) {
		b.route = routeOfGRPC(s.Request.Value(grpcTimeout), t)
	}
	if fw.Retry != nil {
		b.perTry, b.perTryIdle = fw.Retry.PerTry, fw.Retry.PerTryIdle
	}
	h := &s.Request
	if !s.Transparent {
		if ms, ok := milliseconds(h, xEnvoyTimeout); ok {
			b.route = ms
		}
		if ms, ok := milliseconds(h, xEnvoyPerTryTimeout); ok {
			b.perTry = ms
		}
		h.Del(xEnvoyTimeout)
		h.Del(xEnvoyPerTryTimeout)
	}
	if b.route > 0 && b.perTry >= b.route {
		b.perTry = 0 // the route timeout comes first anyway
	}
	if t.MaxGrpcSet && !t.OfStream && grpc.Is(h) {
		if d := b.expected(time.Time{}); d > 0 {
			tellGRPC(h, d)
		}
	}
}

// ofStream takes the bounds of max_stream_duration: what the request's grpc-timeout
// says, if the route wants that, else the route's own, else the connection
// manager's. gRPC servers are told (Envoy: ActiveStream::refreshDurationTimeout).
func (b *bounds) ofStream(s *stream.Stream, t *route.Timeouts) {
	h := &s.Request
	var d time.Duration
	limited := true
	asked, ok := grpc.ParseTimeout(h.Value(grpcTimeout))
	switch {
	case ok && t.GrpcTimeoutHeaderSet:
		d = asked
		if t.GrpcTimeoutHeaderMax > 0 {
			d = min(d, t.GrpcTimeoutHeaderMax)
		}
		d = max(d-t.GrpcTimeoutHeaderOffs, 0)
	case t.MaxStreamSet:
		d, limited = t.MaxStreamDuration, t.MaxStreamDuration > 0
	case !s.MaxDeadline.IsZero():
		d = s.MaxDeadline.Sub(s.Info.Start)
	default:
		limited = false
	}
	isGRPC := grpc.Is(h)
	if limited {
		b.max = s.Info.Start.Add(d)
		if isGRPC {
			tellGRPC(h, d)
		}
		return
	}
	if isGRPC && !s.MaxDeadline.IsZero() {
		h.Del(grpcTimeout) // the route lifted the bound that the connection manager set
	}
	b.max = time.Time{}
}

// routeOfGRPC is the route timeout of a gRPC request where max_grpc_timeout is set:
// its own grpc-timeout up to that, where 0 is for ever (Envoy:
// FilterUtility::finalTimeout).
func routeOfGRPC(v []byte, t *route.Timeouts) time.Duration {
	d, _ := grpc.ParseTimeout(v)
	if t.GrpcOffset < d {
		d -= t.GrpcOffset
	}
	if t.MaxGrpc > 0 && (d == 0 || d > t.MaxGrpc) {
		d = t.MaxGrpc
	}
	return d
}

func tellGRPC(h *header.Headers, d time.Duration) {
	var v [16]byte
	h.Set(grpcTimeout, grpc.AppendTimeout(v[:0], d))
}

var grpcTimeout = header.Intern("grpc-timeout")

func milliseconds(h *header.Headers, n header.Name) (time.Duration, bool) {
	v, ok := h.Get(n)
	if !ok {
		return 0, false
	}
	ms, err := strconv.ParseUint(string(v), 10, 31)
	return time.Duration(ms) * time.Millisecond, err == nil
}

// expected is what x-envoy-expected-rq-timeout-ms tells the server: how long
// this try will be waited for, given when all of them must be over, if that is
// known already (Envoy: FilterUtility::setTimeoutHeaders).
func (b *bounds) expected(deadline time.Time) time.Duration {
	left := b.route
	if !deadline.IsZero() {
		left = max(time.Until(deadline), time.Millisecond)
	}
	if b.perTry > 0 && (left == 0 || b.perTry < left) {
		return b.perTry
	}
	return left
}

func (b *bounds) idleFrom(t time.Time) time.Time {
	if b.idle == 0 {
		return time.Time{}
	}
	return t.Add(b.idle)
}

// A timeout is one of the bounds, as the one that fired.
type timeout uint8

const (
	noTimeout timeout = iota
	routeTimeout
	perTryTimeout
	perTryIdleTimeout
	idleTimeout
	maxStreamTimeout
)

// retriable tells whether another try can help.
func (t timeout) retriable() bool { return t == perTryTimeout || t == perTryIdleTimeout }

func (t timeout) flag() info.Flags {
	switch t {
	case idleTimeout:
		return info.StreamIdleTimeout
	case maxStreamTimeout:
		return 0 // Envoy gives none; the details say it
	}
	return info.UpstreamRequestTimeout
}

// details are Envoy's RESPONSE_CODE_DETAILS.
func (t timeout) details() string {
	switch t {
	case perTryTimeout:
		return "upstream_per_try_timeout"
	case perTryIdleTimeout:
		return "upstream_per_try_idle_timeout"
	case idleTimeout:
		return "stream_idle_timeout"
	case maxStreamTimeout:
		return "max_duration_timeout"
	}
	return "response_timeout"
}

// earliest picks the first of several moments; zero moments are never.
func earliest(at time.Time, which timeout, other time.Time, o timeout) (time.Time, timeout) {
	if other.IsZero() || !at.IsZero() && !other.Before(at) {
		return at, which
	}
	return other, o
}
