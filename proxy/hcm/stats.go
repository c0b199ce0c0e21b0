package hcm

import "github.com/weirproxy/weir/proxy/stats"

// Stats are the counters of a connection manager, under http.<stat_prefix>.
// (Envoy: HTTP connection manager statistics).
type Stats struct {
	CxTotal           *stats.Counter   `stat:"downstream_cx_total"`
	CxActive          *stats.Gauge     `stat:"downstream_cx_active"`
	CxHTTP1Total      *stats.Counter   `stat:"downstream_cx_http1_total"`
	CxHTTP1Active     *stats.Gauge     `stat:"downstream_cx_http1_active"`
	CxHTTP2Total      *stats.Counter   `stat:"downstream_cx_http2_total"`
	CxHTTP2Active     *stats.Gauge     `stat:"downstream_cx_http2_active"`
	CxSSLTotal        *stats.Counter   `stat:"downstream_cx_ssl_total"`
	CxProtocolError   *stats.Counter   `stat:"downstream_cx_protocol_error"`
	CxLength          *stats.Histogram `stat:"downstream_cx_length_ms"`
	CxDestroy         *stats.Counter   `stat:"downstream_cx_destroy"`
	CxDestroyLocal    *stats.Counter   `stat:"downstream_cx_destroy_local"`
	CxDestroyRemote   *stats.Counter   `stat:"downstream_cx_destroy_remote"`
	CxDestroyActiveRq *stats.Counter   `stat:"downstream_cx_destroy_active_rq"`
	CxDestroyRemoteRq *stats.Counter   `stat:"downstream_cx_destroy_remote_active_rq"`
	CxRxBytes         *stats.Counter   `stat:"downstream_cx_rx_bytes_total"`
	CxTxBytes         *stats.Counter   `stat:"downstream_cx_tx_bytes_total"`
	CxDrainClose      *stats.Counter   `stat:"downstream_cx_drain_close"`
	CxIdleTimeout     *stats.Counter   `stat:"downstream_cx_idle_timeout"`
	CxMaxDuration     *stats.Counter   `stat:"downstream_cx_max_duration_reached"`
	CxMaxRequests     *stats.Counter   `stat:"downstream_cx_max_requests_reached"`
	CxUpgradesTotal   *stats.Counter   `stat:"downstream_cx_upgrades_total"`
	CxUpgradesActive  *stats.Gauge     `stat:"downstream_cx_upgrades_active"`

	RqTotal         *stats.Counter   `stat:"downstream_rq_total"`
	RqHTTP1Total    *stats.Counter   `stat:"downstream_rq_http1_total"`
	RqHTTP2Total    *stats.Counter   `stat:"downstream_rq_http2_total"`
	RqActive        *stats.Gauge     `stat:"downstream_rq_active"`
	RqCompleted     *stats.Counter   `stat:"downstream_rq_completed"`
	RqTime          *stats.Histogram `stat:"downstream_rq_time"`
	Rq1xx           *stats.Counter   `stat:"downstream_rq_1xx"`
	Rq2xx           *stats.Counter   `stat:"downstream_rq_2xx"`
	Rq3xx           *stats.Counter   `stat:"downstream_rq_3xx"`
	Rq4xx           *stats.Counter   `stat:"downstream_rq_4xx"`
	Rq5xx           *stats.Counter   `stat:"downstream_rq_5xx"`
	RqRxReset       *stats.Counter   `stat:"downstream_rq_rx_reset"`
	RqTxReset       *stats.Counter   `stat:"downstream_rq_tx_reset"`
	RqTimeout       *stats.Counter   `stat:"downstream_rq_timeout"`
	RqHeaderTimeout *stats.Counter   `stat:"downstream_rq_header_timeout"`
	RqIdleTimeout   *stats.Counter   `stat:"downstream_rq_idle_timeout"`
	RqMaxDuration   *stats.Counter   `stat:"downstream_rq_max_duration_reached"`
	RqTooLarge      *stats.Counter   `stat:"downstream_rq_too_large"`
	RqNormalized    *stats.Counter   `stat:"downstream_rq_path_normalized"`
	RqNonRelative   *stats.Counter   `stat:"downstream_rq_non_relative_path"`
	RqRedirNormal   *stats.Counter   `stat:"downstream_rq_redirected_with_normalized_path"`
	RqPanic         *stats.Counter   `stat:"downstream_rq_panic"`         // ours: a stream that a mistake of the program ended
	RqNameMismatch  *stats.Counter   `stat:"downstream_rq_name_mismatch"` // ours: the host is not the connection's destination
	NoRoute         *stats.Counter   `stat:"no_route"`
	NoCluster       *stats.Counter   `stat:"no_cluster"`
}

// ListenerStats count the same requests below the listener, under listener.<address>.http.<stat_prefix>. (Envoy: per listener
// statistics).
type ListenerStats struct {
	RqCompleted *stats.Counter `stat:"downstream_rq_completed"`
	Rq1xx       *stats.Counter `stat:"downstream_rq_1xx"`
	Rq2xx       *stats.Counter `stat:"downstream_rq_2xx"`
	Rq3xx       *stats.Counter `stat:"downstream_rq_3xx"`
	Rq4xx       *stats.Counter `stat:"downstream_rq_4xx"`
	Rq5xx       *stats.Counter `stat:"downstream_rq_5xx"`
}

// count counts a request that is over; code is 0 when it had no answer.
func (st *ListenerStats) count(code int) {
	st.RqCompleted.Inc()
	switch code / 100 {
	case 0:
	case 1:
		st.Rq1xx.Inc()
	case 2:
		st.Rq2xx.Inc()
	case 3:
		st.Rq3xx.Inc()
	case 4:
		st.Rq4xx.Inc()
	default:
		st.Rq5xx.Inc()
	}
}

// reason counts why a response of our own was sent.
func (st *Stats) reason(details string) {
	switch details {
	case "route_not_found":
		st.NoRoute.Inc()
	case "cluster_not_found":
		st.NoCluster.Inc()
	case "request_overall_timeout":
		st.RqTimeout.Inc()
	case "max_duration_timeout":
		st.RqMaxDuration.Inc()
	}
}

func (st *Stats) class(code int) *stats.Counter {
	switch code / 100 {
	case 1:
		return st.Rq1xx
	case 2:
		return st.Rq2xx
	case 3:
		return st.Rq3xx
	case 4:
		return st.Rq4xx
	}
	return st.Rq5xx
}
