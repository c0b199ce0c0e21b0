package router

import (
	"github.com/weirproxy/weir/proxy/header"
)

// The fields the router reads and writes.
var (
	xEnvoyOriginalPath    = header.Intern("x-envoy-original-path")
	xEnvoyOriginalHost    = header.Intern("x-envoy-original-host")
	xEnvoyExpectedTimeout = header.Intern("x-envoy-expected-rq-timeout-ms")
	xEnvoyAttemptCount    = header.Intern("x-envoy-attempt-count")
	xEnvoyServiceTime     = header.Intern("x-envoy-upstream-service-time")
	xEnvoyOverloaded      = header.Intern("x-envoy-overloaded")
	xEnvoyDropOverload    = header.Intern("x-envoy-drop-overload")
	xEnvoyDropAll         = header.Intern("x-envoy-unconditional-drop-overload")
	xEnvoyTimeoutAlt      = header.Intern("x-envoy-upstream-rq-timeout-alt-response")
	xEnvoyRatelimited     = header.Intern("x-envoy-ratelimited")
	xEnvoyTimeout         = header.Intern("x-envoy-upstream-rq-timeout-ms")
	xEnvoyPerTryTimeout   = header.Intern("x-envoy-upstream-rq-per-try-timeout-ms")
	xEnvoyMaxRetries      = header.Intern("x-envoy-max-retries")
	xEnvoyRetryOn         = header.Intern("x-envoy-retry-on")
	xEnvoyRetryGrpcOn     = header.Intern("x-envoy-retry-grpc-on")
	xEnvoyRetriableCodes  = header.Intern("x-envoy-retriable-status-codes")
	xEnvoyRetriableNames  = header.Intern("x-envoy-retriable-header-names")
)
