package route

import (
	"errors"
	"fmt"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// Envoy's defaults of RetryPolicy.
const (
	defaultBackOff  = 25 * time.Millisecond
	backOffGrowth   = 10 // max_interval in base intervals
	defaultResetMax = 300 * time.Second
)

// retryTokens are the conditions by name; "canceled" is how gRPC spells it in Go.
var retryTokens = []struct {
	name string
	on   RetryOn
	grpc bool // of x-envoy-retry-grpc-on
}{
	{"5xx", On5xx, false},
	{"gateway-error", OnGatewayError, false},
	{"reset", OnReset, false},
	{"reset-before-request", OnResetBeforeRequest, false},
	{"connect-failure", OnConnectFailure, false},
	{"envoy-ratelimited", OnEnvoyRatelimited, false},
	{"retriable-4xx", OnRetriable4xx, false},
	{"refused-stream", OnRefusedStream, false},
	{"retriable-status-codes", OnRetriableStatusCodes, false},
	{"retriable-headers", OnRetriableHeaders, false},
	{"http3-post-connect-failure", OnHTTP3PostConnectFailure, false},
	{"cancelled", OnGrpcCancelled, true},
	{"canceled", OnGrpcCancelled, true},
	{"deadline-exceeded", OnGrpcDeadlineExceeded, true},
	{"internal", OnGrpcInternal, true},
	{"resource-exhausted", OnGrpcResourceExhausted, true},
	{"unavailable", OnGrpcUnavailable, true},
}

// RetryOnHeader reads the value of x-envoy-retry-on or, with grpc, of
// x-envoy-retry-grpc-on. Conditions that are not known there do not count, as in
// Envoy. It allocates nothing.
func RetryOnHeader(v []byte, grpc bool) RetryOn {
	var on RetryOn
	for len(v) > 0 {
		end := 0
		for end < len(v) && v[end] != ',' {
			end++
		}
		tok := trim(v[:end])
		for i := range retryTokens {
			if t := &retryTokens[i]; t.grpc == grpc && string(tok) == t.name {
				on |= t.on
			}
		}
		v = v[min(end+1, len(v)):]
	}
	return on
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// ParseRetryOn reads the conditions of retry_on, of both kinds. Envoy ignores
// what it does not know, so that a typing error silently switches retries off;
// here the error names each, besides the conditions that are known.
func ParseRetryOn(s string) (RetryOn, error) {
	var on RetryOn
	var errs fielderr.List
	for tok := range strings.SplitSeq(s, ",") {
		tok = strings.TrimSpace(tok)
		if tok == "" {
			continue
		}
		found := false
		names := make([]string, 0, len(retryTokens))
		for _, t := range retryTokens {
			names = append(names, t.name)
			if t.name == tok {
				on, found = on|t.on, true
			}
		}
		if !found {
			errs.Addf("", "unknown condition %q%s", tok, suggest(tok, names))
		}
	}
	return on, errs.Err()
}

func retryPolicy(p *routev3.RetryPolicy) (*RetryPolicy, error) {
	var errs fielderr.List
	rp := &RetryPolicy{
		NumRetries:   fielderr.Uint32(p.NumRetries, 1),
		StatusCodes:  p.RetriableStatusCodes,
		HostAttempts: 1,
		PerTry:       errs.Duration("per_try_timeout", p.PerTryTimeout, 0),
		PerTryIdle:   errs.Duration("per_try_idle_timeout", p.PerTryIdleTimeout, 0),
		BackOffBase:  defaultBackOff,
		ResetMax:     defaultResetMax,
	}
	on, err := ParseRetryOn(p.RetryOn)
	errs.Add("retry_on", err)
	rp.On = on
	switch n := p.HostSelectionRetryMaxAttempts; {
	case n < 0 || n > 1<<20:
		errs.Addf("host_selection_retry_max_attempts", "%d is not between 0 and %d", n, 1<<20)
	case n > 0:
		rp.HostAttempts = int(n)
	}
	for i, c := range p.RetriableStatusCodes {
		if c < 100 || c > 599 {
			errs.Addf(fielderr.Index("retriable_status_codes", i), "%d is not a status", c)
		}
	}
	backOff(&errs, p, rp)
	for i, h := range p.RetryHostPredicate {
		path := fielderr.Index("retry_host_predicate", i)
		if err := hostPredicate(h, rp); err != nil {
			errs.Add(path, err)
		}
	}
	rp.Headers, err = match.NewHeaders("retriable_headers", p.RetriableHeaders)
	errs.Add("", err)
	rp.RequestHeaders, err = match.NewHeaders("retriable_request_headers", p.RetriableRequestHeaders)
	errs.Add("", err)
	refuse(&errs, "retry_priority", p.RetryPriority != nil)
	refuse(&errs, "retry_options_predicates", len(p.RetryOptionsPredicates) > 0)
	refuse(&errs, "refresh_cluster_on_retry", p.RefreshClusterOnRetry)
	return rp, errs.Err()
}

func backOff(errs *fielderr.List, p *routev3.RetryPolicy, rp *RetryPolicy) {
	if b := p.RetryBackOff; b != nil {
		if b.BaseInterval == nil {
			errs.Addf("retry_back_off.base_interval", "unset")
		}
		// Envoy rounds less than a millisecond up to one.
		rp.BackOffBase = max(errs.PositiveDuration("retry_back_off.base_interval", b.BaseInterval, defaultBackOff), time.Millisecond)
	}
	rp.BackOffMax = rp.BackOffBase
	if rp.BackOffMax <= (1<<63-1)/backOffGrowth {
		rp.BackOffMax *= backOffGrowth
	}
	if m := p.RetryBackOff.GetMaxInterval(); m != nil {
		const path = "retry_back_off.max_interval"
		rp.BackOffMax = max(errs.PositiveDuration(path, m, rp.BackOffMax), time.Millisecond)
		if rp.BackOffMax < rp.BackOffBase {
			errs.Addf(path, "%v is less than base_interval %v", rp.BackOffMax, rp.BackOffBase)
		}
	}
	r := p.RateLimitedRetryBackOff
	if r == nil {
		return
	}
	const path = "rate_limited_retry_back_off."
	rp.ResetMax = errs.PositiveDuration(path+"max_interval", r.MaxInterval, defaultResetMax)
	if len(r.ResetHeaders) == 0 {
		errs.Addf(path+"reset_headers", "empty")
	}
	for i, h := range r.ResetHeaders {
		at := fielderr.Index(path+"reset_headers", i)
		errs.Add(at+".name", match.HeaderName(h.GetName()))
		switch h.GetFormat() {
		case routev3.RetryPolicy_SECONDS, routev3.RetryPolicy_UNIX_TIMESTAMP:
		default:
			errs.Addf(at+".format", "unknown value %d", h.GetFormat())
		}
		rp.ResetHeaders = append(rp.ResetHeaders, ResetHeader{header.Intern(h.GetName()), h.GetFormat() == routev3.RetryPolicy_UNIX_TIMESTAMP})
	}
}

// previousHostsURL is the configuration of the one predicate there is.
const previousHostsURL = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"

func hostPredicate(h *routev3.RetryPolicy_RetryHostPredicate, rp *RetryPolicy) error {
	if h == nil {
		return errors.New("empty")
	}
	url, name := h.GetTypedConfig().GetTypeUrl(), h.Name
	if url == previousHostsURL || url == "" && name == "envoy.retry_host_predicates.previous_hosts" {
		rp.PreviousHosts = true
		return nil
	}
	return &fielderr.Error{Path: "typed_config", Err: fmt.Errorf("unsupported predicate %q (supported: envoy.retry_host_predicates.previous_hosts)", name)}
}
