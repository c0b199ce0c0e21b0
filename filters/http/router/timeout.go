package router

import (
	"strconv"
	"time"

	"github.com/weirproxy/weir/config/route"
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
	if t.MaxStreamSet {
		b.max = time.Time{}
		if t.MaxStreamDuration > 0 {
			b.max = s.Info.Start.Add(t.MaxStreamDuration)
		}
	}
	if fw.Retry != nil {
		b.perTry, b.perTryIdle = fw.Retry.PerTry, fw.Retry.PerTryIdle
	}
	h := &s.Request
	if ms, ok := milliseconds(h, xEnvoyTimeout); ok {
		b.route = ms
	}
	if ms, ok := milliseconds(h, xEnvoyPerTryTimeout); ok {
		b.perTry = ms
	}
	h.Del(xEnvoyTimeout)
	h.Del(xEnvoyPerTryTimeout)
	if b.route > 0 && b.perTry >= b.route {
		b.perTry = 0 // the route timeout comes first anyway
	}
	if t.GrpcTimeoutHeaderSet {
		b.grpc(s, t)
	}
}

// grpc applies grpc-timeout (Envoy: MaxStreamDuration.grpc_timeout_header_max).
func (b *bounds) grpc(s *stream.Stream, t *route.Timeouts) {
	d, ok := grpcTimeout(s.Request.Value(grpcTimeoutName))
	if !ok {
		return
	}
	if t.GrpcTimeoutHeaderMax > 0 {
		d = min(d, t.GrpcTimeoutHeaderMax)
	}
	if t.GrpcTimeoutHeaderOffs > 0 {
		d = max(d-t.GrpcTimeoutHeaderOffs, 0)
	}
	b.max = s.Info.Start.Add(d)
}

var grpcTimeoutName = header.Intern("grpc-timeout")

// grpcTimeout reads 1*8DIGIT TimeoutUnit (gRPC over HTTP/2, Requests).
func grpcTimeout(v []byte) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v[:len(v)-1]), 10, 32)
	if err != nil {
		return 0, false
	}
	unit := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}[v[len(v)-1]]
	return time.Duration(n) * unit, unit > 0
}

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
