package router

import (
	"errors"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream"
)

func head(kv ...string) *header.Headers {
	h := new(header.Headers)
	for i := 0; i < len(kv); i += 2 {
		h.AddString(header.Intern(kv[i]), kv[i+1])
	}
	return h
}

func failed(f info.Flags, sent bool) *outcome {
	return &outcome{err: &upstream.Error{Flag: f, Sent: sent, Err: errors.New("x")}}
}

func answered(code int, kv ...string) *outcome { return &outcome{code: code, head: head(kv...)} }

// TestWants is Envoy's table of retry_on tokens.
func TestWants(t *testing.T) {
	reset, connect := failed(info.UpstreamConnectionTermination, true), failed(info.UpstreamConnectionFailure, false)
	perTry := failed(info.UpstreamRequestTimeout, true)
	perTry.fired = perTryTimeout
	whole := failed(info.UpstreamRequestTimeout, true)
	whole.fired = routeTimeout
	refused := failed(info.UpstreamRemoteReset, true)
	refused.reset = &codec.ResetError{Remote: true, Unprocessed: true, Reason: "remote_refused_stream_reset"}
	cancelled := failed(info.UpstreamRemoteReset, true)
	cancelled.reset = &codec.ResetError{Remote: true, Reason: "remote_reset"}
	for _, c := range []struct {
		on      string
		yes, no []*outcome
	}{
		{"5xx", []*outcome{answered(500), answered(503), reset, connect, perTry}, []*outcome{answered(404), whole, failed(info.UpstreamOverflow, false), failed(info.NoHealthyUpstream, false), answered(503, "x-envoy-ratelimited", "true")}},
		{"gateway-error", []*outcome{answered(502), answered(503), answered(504), reset}, []*outcome{answered(500), answered(501)}},
		{"reset", []*outcome{reset, perTry, refused, cancelled}, []*outcome{answered(503)}},
		{"refused-stream", []*outcome{refused}, []*outcome{reset, cancelled, connect, answered(503)}},
		{"connect-failure", []*outcome{connect}, []*outcome{reset, answered(503), perTry}},
		{"reset-before-request", []*outcome{connect}, []*outcome{reset, refused}},
		{"retriable-4xx", []*outcome{answered(409)}, []*outcome{answered(404), reset}},
		{"envoy-ratelimited", []*outcome{answered(429, "x-envoy-ratelimited", "true")}, []*outcome{answered(429)}},
		{"retriable-status-codes", []*outcome{answered(418)}, []*outcome{answered(419), reset}},
		{"cancelled", []*outcome{answered(200, "grpc-status", "1")}, []*outcome{answered(200, "grpc-status", "4"), answered(500)}},
		{"canceled", []*outcome{answered(200, "grpc-status", "1")}, []*outcome{answered(200, "grpc-status", "x")}},
		{"deadline-exceeded", []*outcome{answered(200, "grpc-status", "4")}, []*outcome{answered(200, "grpc-status", "0")}},
		{"resource-exhausted", []*outcome{answered(200, "grpc-status", "8")}, []*outcome{answered(200)}},
		{"internal", []*outcome{answered(200, "grpc-status", "13")}, []*outcome{answered(200, "grpc-status", "14")}},
		{"unavailable", []*outcome{answered(200, "grpc-status", "14")}, []*outcome{answered(200, "grpc-status", "13")}},
	} {
		on, _ := route.ParseRetryOn(c.on)
		if on == 0 {
			t.Errorf("%s: not known", c.on)
		}
		p := plan{on: on, left: 1, codes: []uint32{418}}
		for i, o := range c.yes {
			if !p.wants(o) {
				t.Errorf("%s: outcome %d is not retried", c.on, i)
			}
		}
		for i, o := range c.no {
			if p.wants(o) {
				t.Errorf("%s: outcome %d is retried", c.on, i)
			}
		}
	}
}

func TestNext(t *testing.T) {
	dead := failed(info.UpstreamConnectionTermination, true)
	dead.reused, dead.silent = true, true
	p := plan{}
	if d := p.next(dead, []byte("GET")); d.verdict != retry || !d.free {
		t.Errorf("dead pooled connection: %+v", d)
	}
	if d := p.next(dead, []byte("GET")); d.verdict != giveUp {
		t.Errorf("dead pooled connection again: %+v", d)
	}
	p = plan{}
	if d := p.next(dead, []byte("POST")); d.verdict != giveUp {
		t.Errorf("POST on a dead pooled connection: %+v", d)
	}
	dead.reset = &codec.ResetError{Remote: true, Reason: "remote_reset"}
	p = plan{}
	if d := p.next(dead, []byte("GET")); d.verdict != giveUp {
		t.Errorf("a reset that the server meant: %+v", d)
	}
	dead.reset.Unprocessed = true
	if d := p.next(dead, []byte("POST")); d.verdict != retry || !d.free {
		t.Errorf("a POST that the server never saw: %+v", d)
	}
	p = plan{on: route.On5xx, policy: &route.RetryPolicy{}}
	if d := p.next(answered(503), []byte("GET")); d.verdict != deliver || d.flag != info.UpstreamRetryLimitExceeded {
		t.Errorf("no retries left: %+v", d)
	}
	if d := p.next(answered(200), []byte("GET")); d.verdict != deliver || d.flag != 0 {
		t.Errorf("200: %+v", d)
	}
	gone := failed(info.DownstreamConnectionTermination, true)
	gone.gone = true
	if d := p.next(gone, []byte("GET")); d.verdict != giveUp || d.flag != 0 {
		t.Errorf("client gone: %+v", d)
	}
}

// TestBackoff bounds the waits: 25, 50, 100, 200, 250, 250 ms, full jitter.
func TestBackoff(t *testing.T) {
	p := plan{}
	for i, top := range []time.Duration{25, 50, 100, 200, 250, 250} {
		p.retries = uint32(i + 1)
		top *= time.Millisecond
		if d := p.backoff(answered(503), uint64(top)-1, time.Time{}); d != top-1 {
			t.Errorf("retry %d: at most %v, want %v", i+1, d, top-1)
		}
		if d := p.backoff(answered(503), uint64(top), time.Time{}); d != 0 {
			t.Errorf("retry %d: at least %v", i+1, d)
		}
	}
	p = plan{policy: &route.RetryPolicy{BackOffBase: time.Second}} // without a maximum: no panic
	_ = p.backoff(answered(503), 7, time.Time{})
	now := time.Unix(1000, 0)
	p.policy.ResetMax = time.Minute
	p.policy.ResetHeaders = []route.ResetHeader{{Name: header.Intern("retry-after")}, {Name: header.Intern("x-reset"), Unix: true}}
	for _, c := range []struct {
		kv   []string
		want time.Duration
	}{{[]string{"retry-after", "3"}, 3 * time.Second}, {[]string{"x-reset", "1010"}, 10 * time.Second}, {[]string{"retry-after", "300", "x-reset", "1005"}, 5 * time.Second}} {
		if d := p.backoff(answered(429, c.kv...), 0, now); d != c.want {
			t.Errorf("%v: %v, want %v", c.kv, d, c.want)
		}
	}
}

func TestBoundsName(t *testing.T) {
	now := time.Now()
	p := plan{tryEnds: now.Add(2 * time.Second), streamEnds: now.Add(4 * time.Second)}
	if _, w := p.until(now.Add(3*time.Second), now.Add(5*time.Second)); w != perTryTimeout {
		t.Error(w)
	}
	p.tryEnds = time.Time{}
	if _, w := p.until(now.Add(3*time.Second), now.Add(5*time.Second)); w != routeTimeout {
		t.Error(w)
	}
	if _, w := p.until(time.Time{}, now.Add(5*time.Second)); w != maxStreamTimeout {
		t.Error(w)
	}
	if _, w := p.until(time.Time{}, now.Add(time.Second)); w != idleTimeout {
		t.Error(w)
	}
	p.tryIdle = time.Millisecond
	if _, w := p.until(time.Time{}, now.Add(time.Second)); w != perTryIdleTimeout {
		t.Error(w)
	}
}

// TestFlags says what the log is told of local replies.
func TestFlags(t *testing.T) {
	for _, f := range []struct {
		fired timeout
		flag  info.Flags
		code  int
		body  string
	}{
		{routeTimeout, info.UpstreamRequestTimeout, 504, "upstream request timeout"},
		{perTryTimeout, info.UpstreamRequestTimeout, 504, "upstream request timeout"},
		{perTryIdleTimeout, info.UpstreamRequestTimeout, 504, "upstream request timeout"},
		{idleTimeout, info.StreamIdleTimeout, 504, "stream timeout"},
		{maxStreamTimeout, 0, 504, "downstream duration timeout"},
	} {
		got := replyFor(nil, f.fired)
		if got.code != f.code || got.body != f.body || got.details != f.fired.details() || f.fired.flag() != f.flag {
			t.Errorf("%d: %v %v", f.fired, got, f.fired.flag())
		}
	}
}

// TestResetsAreNamed: the client and the log hear how a stream ended, in Envoy's words.
func TestResetsAreNamed(t *testing.T) {
	for details, want := range map[string]string{
		"remote_reset": "remote reset", "remote_refused_stream_reset": "remote refused stream reset", "local_reset": "local reset",
		"connection_termination": "connection termination", "overflow": "overflow",
	} {
		got := replyFor(&upstream.Error{Details: details}, noTimeout)
		if got.code != 503 || got.details != "upstream_reset_before_response_started{"+details+"}" || got.body != resetBody+want {
			t.Errorf("%s: %+v", details, got)
		}
	}
}

// TestRetryHeaders: each of the two headers knows its own conditions only.
func TestRetryHeaders(t *testing.T) {
	for _, c := range []struct {
		kv   []string
		want route.RetryOn
	}{
		{[]string{"x-envoy-retry-on", "5xx, unavailable,nonsense"}, route.On5xx},
		{[]string{"x-envoy-retry-grpc-on", "5xx,unavailable , cancelled"}, route.OnGrpcUnavailable | route.OnGrpcCancelled},
		{[]string{"x-envoy-retry-on", "reset", "x-envoy-retry-grpc-on", "internal"}, route.OnReset | route.OnGrpcInternal},
	} {
		h := head(c.kv...)
		var p plan
		p.fromHeaders(h)
		if p.on != c.want || p.left != 1 || h.Len() != 0 {
			t.Errorf("%v: %b, %d left, %d fields remain", c.kv, p.on, p.left, h.Len())
		}
	}
}
