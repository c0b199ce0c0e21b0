package h2

import "github.com/weirproxy/weir/proxy/stats"

// Stats are the statistics of HTTP/2 connections under "http2." of a connection
// manager's or a cluster's scope (Envoy: HTTP/2 codec statistics). A connection
// counts here what it does; several share one Stats.
type Stats struct {
	DroppedUnderscores   *stats.Counter `stat:"dropped_headers_with_underscores"`
	GoAwaySent           *stats.Counter `stat:"goaway_sent"`
	HeaderOverflow       *stats.Counter `stat:"header_overflow"`
	HeadersCBNoStream    *stats.Counter `stat:"headers_cb_no_stream"`
	EmptyFramesFlood     *stats.Counter `stat:"inbound_empty_frames_flood"`
	PriorityFlood        *stats.Counter `stat:"inbound_priority_frames_flood"`
	WindowUpdateFlood    *stats.Counter `stat:"inbound_window_update_frames_flood"`
	ContinuationFlood    *stats.Counter `stat:"inbound_continuation_frames_flood"`
	ResetFlood           *stats.Counter `stat:"inbound_reset_flood"`
	KeepaliveTimeout     *stats.Counter `stat:"keepalive_timeout"`
	OutboundFlood        *stats.Counter `stat:"outbound_flood"`
	OutboundControlFlood *stats.Counter `stat:"outbound_control_flood"`
	RejectedUnderscores  *stats.Counter `stat:"requests_rejected_with_underscores_in_headers"`
	RxMessagingError     *stats.Counter `stat:"rx_messaging_error"`
	RxReset              *stats.Counter `stat:"rx_reset"`
	RefusedStreams       *stats.Counter `stat:"stream_refused_errors"`
	Trailers             *stats.Counter `stat:"trailers"`
	TxFlushTimeout       *stats.Counter `stat:"tx_flush_timeout"`
	TxReset              *stats.Counter `stat:"tx_reset"`
	StreamsActive        *stats.Gauge   `stat:"streams_active"`
	PendingSendBytes     *stats.Gauge   `stat:"pending_send_bytes"`
}
