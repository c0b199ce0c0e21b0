package h2

import (
	"time"

	"github.com/weirproxy/weir/proxy/codec/h2/fields"
)

// Options are what a connection may use and must bear (Envoy:
// config.core.v3.Http2ProtocolOptions). A zero field takes the default of Envoy
// 1.40 given with it; negative guards are off.
type Options struct {
	// HeaderTableSize bounds the table of fields that the peer's blocks refer to, in
	// bytes, and the one that ours do. 4096 (Envoy: hpack_table_size).
	HeaderTableSize uint32
	// MaxConcurrentStreams is how many streams a client may have open, and how many we
	// open on one connection to a server. 1024 (Envoy: max_concurrent_streams).
	MaxConcurrentStreams uint32
	// InitialStreamWindow is how many bytes of a body may be on their way to us
	// unread. 16 MiB (Envoy: initial_stream_window_size, 65535 … 2^31-1).
	InitialStreamWindow uint32
	// InitialConnWindow is the same for all streams of a connection. 24 MiB
	// (Envoy: initial_connection_window_size).
	InitialConnWindow uint32
	// AllowConnect takes extended CONNECT (RFC 8441) from clients (Envoy: allow_connect).
	AllowConnect bool
	// StreamErrorOnInvalid resets only the stream of a malformed message; else the
	// connection ends, as Envoy does (override_stream_error_on_invalid_http_message).
	StreamErrorOnInvalid bool

	// MaxOutboundFrames is how many frames may wait for the peer to take them. 10000.
	MaxOutboundFrames int
	// MaxOutboundControlFrames is the same for PING, SETTINGS and RST_STREAM. 1000.
	MaxOutboundControlFrames int
	// MaxConsecutiveEmptyFrames is how many DATA, HEADERS or CONTINUATION frames that
	// carry and end nothing may follow each other. 1
	// (Envoy: max_consecutive_inbound_frames_with_empty_payload).
	MaxConsecutiveEmptyFrames int
	// MaxPriorityFramesPerStream is how many PRIORITY frames there may be for each
	// stream ever opened. 100 (Envoy: max_inbound_priority_frames_per_stream).
	MaxPriorityFramesPerStream int
	// MaxWindowUpdatesPerDataFrame is how many WINDOW_UPDATE frames there may be for
	// each DATA frame sent. 10 (Envoy: max_inbound_window_update_frames_per_data_frame_sent).
	MaxWindowUpdatesPerDataFrame int
	// MaxResetsPerWindow is how many streams a client may have ended within
	// ResetWindow before their response began, be it by resetting them (CVE-2023-44487)
	// or by making us reset them (CVE-2025-8671). 500 in 10 s; not a field of Envoy's,
	// whose overload runtime keys have the same number.
	MaxResetsPerWindow int
	ResetWindow        time.Duration

	// Keepalive is how an idle or silent connection is looked after.
	Keepalive Keepalive
	// Fields are the limits on field sections; MaxListSize is told to the peer.
	Fields fields.Limits
	// WriteIdle is the longest that a peer may take nothing of what waits for it, be
	// it that its windows are shut or its socket is full; 0 for ever
	// (Envoy: stream_flush_timeout, then stream_idle_timeout).
	WriteIdle time.Duration
	// LateGrace is how long a request may go on after its response before it is reset;
	// 0 not at all (Envoy has none; HTTP/1's is delayed_close_timeout).
	LateGrace time.Duration
	// Tick is how often a client stream that waits for a response calls its wake; 0 never.
	Tick time.Duration
}

// Keepalive are the PINGs we send (Envoy: connection_keepalive).
type Keepalive struct {
	Interval time.Duration // between PINGs; 0 never
	Timeout  time.Duration // for any byte from the peer after a PING
	Jitter   float64       // percent of Interval added at random; Envoy's default is 15
	// IdleInterval is how long a connection without streams may have been silent
	// before a new stream sends a PING with it; 0 never.
	IdleInterval time.Duration
}

func or[T int | uint32 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// withDefaults gives the options with every default put in.
func (o *Options) withDefaults() Options {
	d := *o
	d.HeaderTableSize = or(d.HeaderTableSize, 4096)
	d.MaxConcurrentStreams = or(d.MaxConcurrentStreams, 1024)
	d.InitialStreamWindow = min(max(or(d.InitialStreamWindow, 16<<20), minWindow), maxWindow)
	d.InitialConnWindow = min(max(or(d.InitialConnWindow, 24<<20), minWindow), maxWindow)
	d.MaxOutboundFrames = or(d.MaxOutboundFrames, 10000)
	d.MaxOutboundControlFrames = or(d.MaxOutboundControlFrames, 1000)
	d.MaxConsecutiveEmptyFrames = or(d.MaxConsecutiveEmptyFrames, 1)
	d.MaxPriorityFramesPerStream = or(d.MaxPriorityFramesPerStream, 100)
	d.MaxWindowUpdatesPerDataFrame = or(d.MaxWindowUpdatesPerDataFrame, 10)
	d.MaxResetsPerWindow = or(d.MaxResetsPerWindow, 500)
	d.ResetWindow = or(d.ResetWindow, 10*time.Second)
	d.Fields.MaxListSize = or(d.Fields.MaxListSize, 60<<10)
	return d
}
