package upstream

import "github.com/weirproxy/weir/proxy/stats"

// Stats are a cluster's statistics, under cluster.<name>. and by Envoy's names
// (Envoy: cluster statistics). Those marked "router" or "tcp_proxy" are counted
// there, the others here.
type Stats struct {
	// Connections.
	CxTotal           *stats.Counter   `stat:"upstream_cx_total"`
	CxActive          *stats.Gauge     `stat:"upstream_cx_active"`
	CxHTTP1Total      *stats.Counter   `stat:"upstream_cx_http1_total"`
	CxHTTP2Total      *stats.Counter   `stat:"upstream_cx_http2_total"`
	CxConnectFail     *stats.Counter   `stat:"upstream_cx_connect_fail"`
	CxConnectTimeout  *stats.Counter   `stat:"upstream_cx_connect_timeout"`
	CxOverflow        *stats.Counter   `stat:"upstream_cx_overflow"`
	CxConnectMs       *stats.Histogram `stat:"upstream_cx_connect_ms"`
	CxLengthMs        *stats.Histogram `stat:"upstream_cx_length_ms"`
	CxDestroy         *stats.Counter   `stat:"upstream_cx_destroy"`
	CxDestroyLocal    *stats.Counter   `stat:"upstream_cx_destroy_local"`
	CxDestroyRemote   *stats.Counter   `stat:"upstream_cx_destroy_remote"`
	CxDestroyWithRq   *stats.Counter   `stat:"upstream_cx_destroy_with_active_rq"`
	CxDestroyLocalRq  *stats.Counter   `stat:"upstream_cx_destroy_local_with_active_rq"`
	CxDestroyRemoteRq *stats.Counter   `stat:"upstream_cx_destroy_remote_with_active_rq"`
	CxIdleTimeout     *stats.Counter   `stat:"upstream_cx_idle_timeout"`
	CxMaxRequests     *stats.Counter   `stat:"upstream_cx_max_requests"`
	CxMaxDuration     *stats.Counter   `stat:"upstream_cx_max_duration_reached"`
	CxNoneHealthy     *stats.Counter   `stat:"upstream_cx_none_healthy"`
	CxPoolOverflow    *stats.Counter   `stat:"upstream_cx_pool_overflow"`             // always 0: pools are not limited
	CxProtocolError   *stats.Counter   `stat:"upstream_cx_protocol_error"`            // router
	CxRxBytesTotal    *stats.Counter   `stat:"upstream_cx_rx_bytes_total"`            // router and tcp_proxy
	CxTxBytesTotal    *stats.Counter   `stat:"upstream_cx_tx_bytes_total"`            // router and tcp_proxy
	CxConnectAttempts *stats.Counter   `stat:"upstream_cx_connect_attempts_exceeded"` // tcp_proxy

	// Requests.
	RqTotal           *stats.Counter `stat:"upstream_rq_total"`
	RqActive          *stats.Gauge   `stat:"upstream_rq_active"`
	RqPendingTotal    *stats.Counter `stat:"upstream_rq_pending_total"`
	RqPendingActive   *stats.Gauge   `stat:"upstream_rq_pending_active"`
	RqPendingOverflow *stats.Counter `stat:"upstream_rq_pending_overflow"`
	RqDropOverload    *stats.Counter `stat:"upstream_rq_drop_overload"`
	RqRetryOverflow   *stats.Counter `stat:"upstream_rq_retry_overflow"`

	// Requests, router.
	RqCancelled          *stats.Counter   `stat:"upstream_rq_cancelled"`
	RqMaintenanceMode    *stats.Counter   `stat:"upstream_rq_maintenance_mode"` // always 0: there is no maintenance mode
	RqTimeout            *stats.Counter   `stat:"upstream_rq_timeout"`
	RqMaxDuration        *stats.Counter   `stat:"upstream_rq_max_duration_reached"`
	RqPerTryTimeout      *stats.Counter   `stat:"upstream_rq_per_try_timeout"`
	RqPerTryIdleTimeout  *stats.Counter   `stat:"upstream_rq_per_try_idle_timeout"`
	RqRxReset            *stats.Counter   `stat:"upstream_rq_rx_reset"`
	RqTxReset            *stats.Counter   `stat:"upstream_rq_tx_reset"`
	RqRetry              *stats.Counter   `stat:"upstream_rq_retry"`
	RqRetryBackoffExp    *stats.Counter   `stat:"upstream_rq_retry_backoff_exponential"`
	RqRetryBackoffLimit  *stats.Counter   `stat:"upstream_rq_retry_backoff_ratelimited"`
	RqRetryLimitExceeded *stats.Counter   `stat:"upstream_rq_retry_limit_exceeded"`
	RqRetrySuccess       *stats.Counter   `stat:"upstream_rq_retry_success"`
	RqTime               *stats.Histogram `stat:"upstream_rq_time"`   // milliseconds
	RqPerCx              *stats.Histogram `stat:"upstream_rq_per_cx"` // of HTTP connections that ended

	// Load balancing and membership.
	LBHealthyPanic     *stats.Counter `stat:"lb_healthy_panic"`
	MaxHostWeight      *stats.Gauge   `stat:"max_host_weight"`
	MembershipChange   *stats.Counter `stat:"membership_change"`
	MembershipTotal    *stats.Gauge   `stat:"membership_total"`
	MembershipHealthy  *stats.Gauge   `stat:"membership_healthy"`
	MembershipDegraded *stats.Gauge   `stat:"membership_degraded"`
	MembershipExcluded *stats.Gauge   `stat:"membership_excluded"`
	UpdateAttempt      *stats.Counter `stat:"update_attempt"`
	UpdateSuccess      *stats.Counter `stat:"update_success"`
	UpdateFailure      *stats.Counter `stat:"update_failure"`
	UpdateEmpty        *stats.Counter `stat:"update_empty"`
	Version            *stats.Gauge   `stat:"version"` // of the assignment: stats.Hash of its version
	BindErrors         *stats.Counter `stat:"bind_errors"`
	OriginalDstInvalid *stats.Counter `stat:"original_dst_host_invalid"`
	RetryOrShadowOver  *stats.Counter `stat:"retry_or_shadow_abandoned"`
	Default            Breakers       `stat:"circuit_breakers.default"`
	High               Breakers       `stat:"circuit_breakers.high"`
	HalfOpen           HalfOpenStats  `stat:"weir_circuit_breaker"`
}

// Breakers are the gauges of one priority's thresholds: 1 while a limit is
// reached (Envoy: circuit breaker statistics). They are exact.
type Breakers struct {
	CxOpen        *stats.Gauge `stat:"cx_open"`
	CxPoolOpen    *stats.Gauge `stat:"cx_pool_open"` // always 0: pools are not limited
	RqPendingOpen *stats.Gauge `stat:"rq_pending_open"`
	RqOpen        *stats.Gauge `stat:"rq_open"`
	RqRetryOpen   *stats.Gauge `stat:"rq_retry_open"`
}

// Remaining are the gauges of track_remaining.
type Remaining struct {
	Cx        *stats.Gauge `stat:"remaining_cx"`
	CxPools   *stats.Gauge `stat:"remaining_cx_pools"`
	RqPending *stats.Gauge `stat:"remaining_pending"`
	Rq        *stats.Gauge `stat:"remaining_rq"`
	RqRetries *stats.Gauge `stat:"remaining_retries"`
}

// HalfOpenStats are the statistics of weir.circuit_breaker.
type HalfOpenStats struct {
	Opened   *stats.Counter `stat:"opened"`
	HalfOpen *stats.Counter `stat:"half_opened"`
	Closed   *stats.Counter `stat:"closed"`
	Rejected *stats.Counter `stat:"rejected"`
	Open     *stats.Gauge   `stat:"open_hosts"`
}

// OutlierStats are the statistics of outlier detection.
type OutlierStats struct {
	Active          *stats.Gauge   `stat:"ejections_active"`
	Overflow        *stats.Counter `stat:"ejections_overflow"`
	EnforcedTotal   *stats.Counter `stat:"ejections_enforced_total"`
	Enforced5xx     *stats.Counter `stat:"ejections_enforced_consecutive_5xx"`
	Detected5xx     *stats.Counter `stat:"ejections_detected_consecutive_5xx"`
	EnforcedGateway *stats.Counter `stat:"ejections_enforced_consecutive_gateway_failure"`
	DetectedGateway *stats.Counter `stat:"ejections_detected_consecutive_gateway_failure"`
	EnforcedLocal   *stats.Counter `stat:"ejections_enforced_consecutive_local_origin_failure"`
	DetectedLocal   *stats.Counter `stat:"ejections_detected_consecutive_local_origin_failure"`
	Total           *stats.Counter `stat:"ejections_total"`           // deprecated in Envoy, still on dashboards
	Consecutive5xx  *stats.Counter `stat:"ejections_consecutive_5xx"` // likewise
}
