package core

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

// HTTP2 are the options of an HTTP/2 connection, with Envoy's defaults where nothing
// is configured (Envoy: Http2ProtocolOptions).
type HTTP2 struct {
	TableSize            uint32 // of the HPACK table the peer may use, in bytes; default 4096
	MaxConcurrentStreams uint32 // that the peer may open, and upstream that we open; default 1024
	StreamWindow         uint32 // bytes that are taken of a stream before it is read; default 16 MiB
	ConnWindow           uint32 // … of all streams of a connection; default 24 MiB
	AllowConnect         bool   // extended CONNECT (RFC 8441)
	NoHuffman            bool   // enable_huffman_encoding is false

	// Guards against peers that make work. Exceeding one ends the connection.
	MaxOutboundFrames            uint32 // frames that wait to be sent; default 10000
	MaxOutboundControlFrames     uint32 // PING, SETTINGS and RST_STREAM frames that do; default 1000
	MaxConsecutiveEmptyFrames    uint32 // frames without payload or end in a row; default 1
	MaxPriorityFramesPerStream   uint32 // default 100
	MaxWindowUpdatesPerDataFrame uint32 // default 10

	// StreamError says that an invalid message ends its stream alone; else the
	// connection ends.
	StreamError    bool
	StreamErrorSet bool // … was configured

	Keepalive Keepalive
}

// Keepalive is how a connection is asked whether it still lives (Envoy:
// KeepaliveSettings).
type Keepalive struct {
	Interval     time.Duration // between PINGs; 0 off
	Timeout      time.Duration // for an answer
	Jitter       float64       // of Interval that is added at most, in percent; default 15
	IdleInterval time.Duration // a connection that was idle for so long is asked before it is used; 0 off
}

// DefaultHTTP2 are the options where none are configured.
func DefaultHTTP2() HTTP2 {
	return HTTP2{
		TableSize: 4096, MaxConcurrentStreams: 1024, StreamWindow: 16 << 20, ConnWindow: 24 << 20,
		MaxOutboundFrames: 10000, MaxOutboundControlFrames: 1000, MaxConsecutiveEmptyFrames: 1,
		MaxPriorityFramesPerStream: 100, MaxWindowUpdatesPerDataFrame: 10,
	}
}

// DecodeHTTP2 reads Http2ProtocolOptions; nil gives the defaults. Ranges are the
// protos' own constraints.
func DecodeHTTP2(l *fielderr.List, at string, m *corev3.Http2ProtocolOptions) HTTP2 {
	d := DefaultHTTP2()
	if m == nil {
		return d
	}
	d.TableSize = fielderr.Uint32(m.GetHpackTableSize(), d.TableSize)
	d.MaxConcurrentStreams = fielderr.Uint32(m.GetMaxConcurrentStreams(), d.MaxConcurrentStreams)
	d.StreamWindow = fielderr.Uint32(m.GetInitialStreamWindowSize(), d.StreamWindow)
	d.ConnWindow = fielderr.Uint32(m.GetInitialConnectionWindowSize(), d.ConnWindow)
	d.AllowConnect = m.GetAllowConnect()
	d.NoHuffman = m.GetEnableHuffmanEncoding() != nil && !m.GetEnableHuffmanEncoding().GetValue()
	d.MaxOutboundFrames = fielderr.Uint32(m.GetMaxOutboundFrames(), d.MaxOutboundFrames)
	d.MaxOutboundControlFrames = fielderr.Uint32(m.GetMaxOutboundControlFrames(), d.MaxOutboundControlFrames)
	d.MaxConsecutiveEmptyFrames = fielderr.Uint32(m.GetMaxConsecutiveInboundFramesWithEmptyPayload(), d.MaxConsecutiveEmptyFrames)
	d.MaxPriorityFramesPerStream = fielderr.Uint32(m.GetMaxInboundPriorityFramesPerStream(), d.MaxPriorityFramesPerStream)
	d.MaxWindowUpdatesPerDataFrame = fielderr.Uint32(m.GetMaxInboundWindowUpdateFramesPerDataFrameSent(), d.MaxWindowUpdatesPerDataFrame)
	d.StreamError = m.GetStreamErrorOnInvalidHttpMessaging()
	if o := m.GetOverrideStreamErrorOnInvalidHttpMessage(); o != nil {
		d.StreamError, d.StreamErrorSet = o.GetValue(), true
	}
	if k := m.GetConnectionKeepalive(); k != nil {
		at += ".connection_keepalive"
		d.Keepalive = Keepalive{
			Interval:     l.Duration(at+".interval", k.GetInterval(), 0),
			Timeout:      l.Duration(at+".timeout", k.GetTimeout(), 0),
			IdleInterval: l.Duration(at+".connection_idle_interval", k.GetConnectionIdleInterval(), 0),
			Jitter:       15,
		}
		if k.GetIntervalJitter() != nil {
			d.Keepalive.Jitter = k.GetIntervalJitter().GetValue()
		}
	}
	return d
}
