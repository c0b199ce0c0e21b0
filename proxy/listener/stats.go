package listener

import (
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/stats"
)

// Stats are a listener's statistics, under listener.<address>. and by Envoy's
// names (Envoy: listener statistics). Those from self_dial_refused on are ours.
type Stats struct {
	CxTotal              *stats.Counter   `stat:"downstream_cx_total"`
	CxActive             *stats.Gauge     `stat:"downstream_cx_active"`
	CxDestroy            *stats.Counter   `stat:"downstream_cx_destroy"`
	CxLength             *stats.Histogram `stat:"downstream_cx_length_ms"`
	CxOverflow           *stats.Counter   `stat:"downstream_cx_overflow"`
	GlobalCxOverflow     *stats.Counter   `stat:"downstream_global_cx_overflow"`
	OverloadReject       *stats.Counter   `stat:"downstream_cx_overload_reject"`
	PreCxActive          *stats.Gauge     `stat:"downstream_pre_cx_active"`
	PreCxTimeout         *stats.Counter   `stat:"downstream_pre_cx_timeout"`
	TransportTimeout     *stats.Counter   `stat:"downstream_cx_transport_socket_connect_timeout"`
	FilterError          *stats.Counter   `stat:"downstream_listener_filter_error"`
	FilterRemoteClose    *stats.Counter   `stat:"downstream_listener_filter_remote_close"`
	ConfigMissing        *stats.Counter   `stat:"extension_config_missing"`
	NetworkConfigMissing *stats.Counter   `stat:"network_extension_config_missing"`
	NoFilterChainMatch   *stats.Counter   `stat:"no_filter_chain_match"`
	SelfDialRefused      *stats.Counter   `stat:"downstream_cx_self_dial_refused"`
	ServerFirst          *stats.Counter   `stat:"downstream_pre_cx_server_first"`
	Ahead                *stats.Counter   `stat:"downstream_pre_cx_ahead"`
	AheadUnused          *stats.Counter   `stat:"downstream_pre_cx_ahead_unused"`
	Panic                *stats.Counter   `stat:"downstream_cx_panic"`
	PostgresAccepted     *stats.Counter   `stat:"downstream_pre_cx_postgres_ssl"`
	ECH                  *stats.Counter   `stat:"downstream_cx_ech"`
	NameMismatch         *stats.Counter   `stat:"downstream_cx_name_mismatch"`
	NameUnknown          *stats.Counter   `stat:"downstream_cx_name_unknown"`
	NameUntrusted        *stats.Counter   `stat:"downstream_cx_name_untrusted"`
	NameDenied           *stats.Counter   `stat:"downstream_cx_name_denied"`
	AcceptErrors         *stats.Counter   `stat:"downstream_cx_accept_error"`
}

// A limiter lets one log line through a second, and counts the others.
type limiter struct {
	last    atomic.Int64 // nanoseconds since 1970
	dropped atomic.Uint64
}

// allow tells whether to log now, and how many lines were dropped since the last.
func (l *limiter) allow(now time.Time) (dropped uint64, ok bool) {
	last, n := l.last.Load(), now.UnixNano()
	if n-last < int64(time.Second) && n >= last || !l.last.CompareAndSwap(last, n) {
		l.dropped.Add(1)
		return 0, false
	}
	return l.dropped.Swap(0), true
}
