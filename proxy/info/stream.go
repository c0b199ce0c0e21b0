package info

import (
	"net/netip"
	"time"
)

// Stream is what is known of one HTTP request and its response. It is reset and
// reused with its stream; strings are constants or belong to the configuration.
type Stream struct {
	ID       uint64 // unique on its connection
	Protocol Protocol

	// Chosen.
	Route, VirtualHost string
	Cluster            string

	// Upstream, the last attempt.
	UpstreamHost     netip.AddrPort
	UpstreamLocal    netip.AddrPort
	UpstreamProtocol Protocol
	Attempts         int  // tries made, the first included
	Reused           bool // the last try took a pooled connection

	// The end.
	Code                     int // response status sent downstream; 0 when none was
	Flags                    Flags
	Details                  string // Envoy: RESPONSE_CODE_DETAILS, e.g. "via_upstream"
	BytesReceived, BytesSent uint64 // body bytes from and to downstream
	RequestHeaderBytes       uint64
	ResponseHeaderBytes      uint64
	UpstreamFailure          string      // transport failure reason
	NameCheck                NameVerdict // of the authority and the connection's destination, where a listener asks for it
	HealthCheck              bool        // the health_check filter took it for one (Envoy: StreamInfo::healthCheck)

	// Times; zero when the moment never came.
	Start             time.Time // first byte of the request head seen
	RequestDone       time.Time // last byte of the request received
	UpstreamFirstByte time.Time // response head received
	UpstreamDone      time.Time // last byte of the response received
	End               time.Time // last byte sent downstream
}

// Reset makes the record empty.
func (s *Stream) Reset() { *s = Stream{} }
