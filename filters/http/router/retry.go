package router

import (
	"bytes"
	"cmp"
	"strconv"
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// A plan is what may still be tried for one request. next is a pure function of
// it and an outcome.
type plan struct {
	on         route.RetryOn
	left       uint32 // retries that may still be made
	retries    uint32 // retries made
	policy     *route.RetryPolicy
	backOff    time.Duration // base interval of a policy that has none
	codes      []uint32      // from x-envoy-retriable-status-codes, beside the policy's
	names      []header.Name // from x-envoy-retriable-header-names
	avoidTried bool
	// hostAttempts is how often a host that was tried is turned down.
	hostAttempts int
	freshOnce    bool // the one try after a dead pooled connection was made
	tryEnds      time.Time
	tryIdle      time.Duration
	streamEnds   time.Time
	scratch      match.Scratch
}

// defaultHostAttempts is used where a route has more than one host to try and
// says nothing: Envoy's default is to try the same host again.
const defaultHostAttempts = 3

// begin makes an empty plan that of a request.
func (p *plan) begin(fw *route.Forward, s *stream.Stream, b *bounds) {
	p.policy, p.streamEnds, p.tryIdle = fw.Retry, b.max, b.perTryIdle
	h := &s.Request
	if fw.Retry != nil {
		p.on, p.left = fw.Retry.On, fw.Retry.NumRetries
		p.avoidTried, p.hostAttempts = fw.Retry.PreviousHosts, fw.Retry.HostAttempts
		if !p.avoidTried {
			p.avoidTried, p.hostAttempts = true, defaultHostAttempts
		}
	}
	if !s.Transparent && (h.Has(xEnvoyRetryOn) || h.Has(xEnvoyRetryGrpcOn) || h.Has(xEnvoyMaxRetries) || h.Has(xEnvoyRetriableCodes) || h.Has(xEnvoyRetriableNames)) {
		p.fromHeaders(h)
	}
	if fw.Retry != nil && len(fw.Retry.RequestHeaders) > 0 && !matchesAny(fw.Retry.RequestHeaders, h, &p.scratch) {
		p.on, p.left = 0, 0
	}
}

// tuned is the plan as the runtime has it at the moment.
func (p *plan) tuned(c *settings, draw uint64) {
	if share := c.useRetry.Share(runtime.Share{Num: 100, Den: 100}); share.Num < share.Den && draw%share.Den >= share.Num {
		p.on, p.left = 0, 0
	}
	p.backOff = time.Duration(c.backOff.Uint32(uint32(backOffBase.Milliseconds()))) * time.Millisecond
}

func matchesAny(l []route.HeaderMatcher, h *header.Headers, sc *match.Scratch) bool {
	for i := range l {
		if l[i].Match(h, sc, nil) {
			return true
		}
	}
	return false
}

// fromHeaders takes the retry policy that the request itself carries (Envoy:
// x-envoy-retry-on, x-envoy-max-retries).
func (p *plan) fromHeaders(h *header.Headers) {
	for _, n := range [...]header.Name{xEnvoyRetryOn, xEnvoyRetryGrpcOn} {
		if v, ok := h.Get(n); ok {
			p.on |= route.RetryOnHeader(v, n == xEnvoyRetryGrpcOn)
			if p.left == 0 {
				p.left = 1
			}
			h.Del(n)
		}
	}
	if v, ok := h.Get(xEnvoyMaxRetries); ok {
		if n, err := strconv.ParseUint(string(v), 10, 16); err == nil && p.on != 0 {
			p.left = uint32(n)
		}
		h.Del(xEnvoyMaxRetries)
	}
	if v, ok := h.Get(xEnvoyRetriableNames); ok {
		for _, tok := range bytes.Split(v, []byte(",")) {
			p.names = append(p.names, header.Intern(string(bytes.TrimSpace(tok))))
		}
		h.Del(xEnvoyRetriableNames)
	}
	if v, ok := h.Get(xEnvoyRetriableCodes); ok {
		for _, tok := range bytes.Split(v, []byte(",")) {
			if n, err := strconv.ParseUint(string(bytes.TrimSpace(tok)), 10, 16); err == nil {
				p.codes = append(p.codes, uint32(n))
			}
		}
		h.Del(xEnvoyRetriableCodes)
	}
}

// tryBegins starts the clock of one try.
func (p *plan) tryBegins(now time.Time, b *bounds) {
	p.tryEnds = time.Time{}
	if b.perTry > 0 {
		p.tryEnds = now.Add(b.perTry)
	}
}

// until is how long the response may be waited for now, and which bound that is.
func (p *plan) until(global, idle time.Time) (time.Time, timeout) {
	at, which := earliest(time.Time{}, noTimeout, global, routeTimeout)
	at, which = earliest(at, which, p.tryEnds, perTryTimeout)
	if p.tryIdle > 0 {
		at, which = earliest(at, which, time.Now().Add(p.tryIdle), perTryIdleTimeout)
	}
	at, which = earliest(at, which, p.streamEnds, maxStreamTimeout)
	return earliest(at, which, idle, idleTimeout)
}

// quiet is how long nothing may move, and which bound that is.
func (p *plan) quiet(idle time.Duration) (time.Duration, timeout) {
	if p.tryIdle > 0 && (idle == 0 || p.tryIdle < idle) {
		return p.tryIdle, perTryIdleTimeout
	}
	return idle, idleTimeout
}

// connectBound is how long connecting may take; the cluster's connect_timeout
// holds besides.
func (p *plan) connectBound(global time.Time) (time.Time, timeout) {
	at, which := earliest(global, routeTimeout, p.tryEnds, perTryTimeout)
	return earliest(at, which, p.streamEnds, maxStreamTimeout)
}

// connectFired is the bound that ended connecting.
func (p *plan) connectFired(global time.Time) timeout {
	_, which := p.connectBound(global)
	return which
}

type verdict uint8

const (
	deliver verdict = iota
	retry
	giveUp
)

// A decision is what becomes of an outcome.
type decision struct {
	verdict verdict
	free    bool // a retry that no policy pays for: a pooled connection was dead
	after   time.Duration
	flag    info.Flags // why there is no further try
}

// next decides whether another try is made. It changes nothing but the one free
// try after a dead pooled connection.
func (p *plan) next(o *outcome, method []byte) decision {
	if o.gone || o.client != nil {
		return decision{verdict: giveUp}
	}
	if o.err != nil && o.reused && o.silent && o.fired == noTimeout && !p.freshOnce && untouched(o, method) {
		p.freshOnce = true
		return decision{verdict: retry, free: true}
	}
	if !p.wants(o) {
		return p.without(o)
	}
	if p.left == 0 {
		d := p.without(o)
		if p.policy != nil || p.retries > 0 {
			d.flag = info.UpstreamRetryLimitExceeded
		}
		return d
	}
	return decision{verdict: retry}
}

// untouched tells whether a request that a connection took with it may be sent once
// more, to another one, whatever the policy. One that was closed while idle took
// nothing with it (RFC 9110 §9.2.2: if the request is idempotent); a stream that was
// never looked at says so (RFC 9113 §8.7: whatever the request).
func untouched(o *outcome, method []byte) bool {
	if o.reset != nil {
		return o.reset.Unprocessed
	}
	return idempotent(method)
}

// without is the decision when no further try is made.
func (p *plan) without(o *outcome) decision {
	if o.err == nil {
		return decision{verdict: deliver}
	}
	return decision{verdict: giveUp}
}

// count notes that a retry is made.
func (p *plan) count() {
	p.left--
	p.retries++
}

// wants tells whether the policy asks for a retry of this outcome (Envoy:
// RetryStateImpl::wouldRetryFromHeaders, wouldRetryFromReset).
func (p *plan) wants(o *outcome) bool {
	switch {
	case p.on == 0:
		return false
	case o.err != nil:
		return p.wantsAfterError(o)
	}
	return p.wantsAfterResponse(o)
}

func (p *plan) wantsAfterError(o *outcome) bool {
	e := o.err
	switch {
	case e.Flag.Has(info.UpstreamOverflow | info.NoHealthyUpstream | info.DropOverload | info.UnconditionalDropOverload | info.DownstreamConnectionTermination):
		return false
	case o.fired != noTimeout && !o.fired.retriable():
		return false
	case p.on&(route.OnReset|route.On5xx|route.OnGatewayError) != 0:
		return true
	case p.on&route.OnConnectFailure != 0 && e.Flag.Has(info.UpstreamConnectionFailure):
		return true
	case p.on&route.OnRefusedStream != 0 && o.reset != nil && o.reset.Unprocessed:
		return true
	}
	return p.on&route.OnResetBeforeRequest != 0 && !e.Sent
}

func (p *plan) wantsAfterResponse(o *outcome) bool {
	if o.head.Has(xEnvoyRatelimited) {
		return p.on&route.OnEnvoyRatelimited != 0
	}
	switch {
	case p.on&route.On5xx != 0 && o.code >= 500,
		p.on&route.OnGatewayError != 0 && o.code >= 502 && o.code <= 504,
		p.on&route.OnRetriable4xx != 0 && o.code == 409:
		return true
	}
	if p.on&route.OnRetriableStatusCodes != 0 {
		if contains(p.codes, o.code) || p.policy != nil && contains(p.policy.StatusCodes, o.code) {
			return true
		}
	}
	if p.on&route.OnRetriableHeaders != 0 {
		for _, n := range p.names {
			if o.head.Has(n) {
				return true
			}
		}
		if p.policy != nil && matchesAny(p.policy.Headers, o.head, &p.scratch) {
			return true
		}
	}
	if p.on >= route.OnGrpcCancelled {
		st, ok := grpc.In(o.head)
		return ok && p.on&grpcCondition(st) != 0
	}
	return false
}

func contains(l []uint32, code int) bool {
	for _, c := range l {
		if int(c) == code {
			return true
		}
	}
	return false
}

// grpcCondition gives the condition that a grpc-status meets.
func grpcCondition(s grpc.Status) route.RetryOn {
	switch s {
	case grpc.Canceled:
		return route.OnGrpcCancelled
	case grpc.DeadlineExceeded:
		return route.OnGrpcDeadlineExceeded
	case grpc.ResourceExhausted:
		return route.OnGrpcResourceExhausted
	case grpc.Internal:
		return route.OnGrpcInternal
	case grpc.Unavailable:
		return route.OnGrpcUnavailable
	}
	return 0
}

// judged is the status that outlier detection goes by: what a gRPC response says of
// itself in its head counts for more than 200 (Envoy: Filter::onUpstreamHeaders).
func (e *exchange) judged(o *outcome) int {
	if st, ok := grpc.In(o.head); ok && grpc.Is(&e.s.Request) {
		return st.HTTP()
	}
	return o.code
}

// idempotent tells whether a method may be repeated by a proxy (RFC 9110 §9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// backOffBase is the default of the base interval (Envoy: RetryPolicy.retry_back_off), upstream.base_retry_backoff_ms another one.
const backOffBase = 25 * time.Millisecond

// backoff is how long to wait before the retry that was just counted: full
// jitter over an interval that doubles, or what a rate-limited response asked for.
func (p *plan) backoff(o *outcome, random uint64, now time.Time) time.Duration {
	if p.policy != nil && o.err == nil {
		if d, ok := p.rateLimited(o.head, now); ok {
			return d + time.Duration(random%uint64(d/2+1))
		}
	}
	base := cmp.Or(p.backOff, backOffBase)
	top := 10 * base // (Envoy: RetryPolicy.retry_back_off)
	if p.policy != nil && p.policy.BackOffBase > 0 {
		base, top = p.policy.BackOffBase, p.policy.BackOffMax
	}
	d := base
	for i := uint32(1); i < p.retries && d < top; i++ {
		d *= 2
	}
	return time.Duration(random % uint64(max(min(d, top), 1)))
}

// rateLimited reads the first reset header of a response that has one
// (Envoy: rate_limited_retry_back_off).
func (p *plan) rateLimited(h *header.Headers, now time.Time) (time.Duration, bool) {
	for _, r := range p.policy.ResetHeaders {
		v, ok := h.Get(r.Name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
		if err != nil {
			continue
		}
		d := time.Duration(n) * time.Second
		if r.Unix {
			d = time.Unix(n, 0).Sub(now)
		}
		if d > 0 && d <= p.policy.ResetMax {
			return d, true
		}
	}
	return 0, false
}

// replayable tells whether the request can be sent again: nothing of its body
// is lost, or nothing of it was sent.
func (e *exchange) replayable() bool { return e.pump.freeze() }

// count adds a try that brought no response to the cluster's statistics.
func (e *exchange) count(o *outcome) {
	st := e.cl.Stats()
	switch {
	case o.gone || o.client != nil:
		st.RqCancelled.Inc()
	case o.fired == routeTimeout:
		st.RqTimeout.Inc()
	case o.fired == perTryTimeout:
		st.RqPerTryTimeout.Inc()
	case o.fired == perTryIdleTimeout:
		st.RqPerTryIdleTimeout.Inc()
	case o.fired == maxStreamTimeout:
		st.RqMaxDuration.Inc()
	case o.err.Flag.Has(info.UpstreamConnectionTermination | info.UpstreamRemoteReset | info.UpstreamProtocolError):
		st.RqRxReset.Inc()
	}
}
