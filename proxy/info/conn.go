// Package info says what happened: the facts gathered about one downstream
// connection and about one stream, read by matchers, access logs, counters and
// explain.
package info

import (
	"net/netip"
	"time"
)

// Transport is what the first bytes of a connection looked like (Envoy:
// FilterChainMatch.transport_protocol).
type Transport string

// The transport protocols that filter chains can match.
const (
	RawBuffer Transport = "raw_buffer"
	TLS       Transport = "tls"
)

// NameVerdict says whether a name that a client gave belongs to the address it went to.
type NameVerdict string

// The verdicts.
const (
	NameUnchecked NameVerdict = ""          // there was none, or nobody asked
	NameMatches   NameVerdict = "match"     // the address is one of the name's
	NameMismatch  NameVerdict = "mismatch"  // it is not, or the name has none
	NameUnknown   NameVerdict = "unknown"   // the name could not be looked up, or not yet
	NameUntrusted NameVerdict = "untrusted" // the name is an ECH outer one
)

// Conn is what is known of a downstream connection. The listener filters fill
// it; after the filter chain is chosen only counters change.
type Conn struct {
	// Set at accept.
	ID       uint64 // unique in this process
	Start    time.Time
	Listener string

	// Addresses. Source is the client as far as known (a listener filter such
	// as proxy_protocol may replace it), DirectSource the peer of the socket.
	// Dest is where the client wanted to go: the original destination of an
	// intercepted connection, else the local address, which Local always is.
	Source, DirectSource, Dest, Local netip.AddrPort
	Intercepted                       bool // by TPROXY: Local is not an address that is listened on
	SelfDial                          bool // Dest is a listener of our own: going there would come back here
	DestRestored                      bool // Dest was restored from REDIRECT or PROXY protocol

	// Sniffed. Slices are owned by the connection and live as long.
	Transport  Transport   // "" until a listener filter says so; matches as raw_buffer
	ServerName []byte      // SNI, lower case
	ALPN       [][]byte    // as the client sent them, or the protocol http_inspector found
	ECH        bool        // the SNI is an ECH outer name: not to be trusted
	NameCheck  NameVerdict // of ServerName and Dest, where a listener asks for it
	JA3, JA4   string      // fingerprints of the ClientHello; "" unless tls_inspector makes them
	SniffNote  string      // "", "timeout", "closed", "server_first", or a parse error
	// FirstSpeaker is "client" or "server"; "" when nobody waited to learn it. ServerProtocol is what the bytes of a server that
	// spoke first looked like (sniff.ServerLabel), "" unknown.
	FirstSpeaker, ServerProtocol string

	// Chosen.
	FilterChain string
	Spoof       bool // upstream connections take Source as their own (original_src)
	SpoofPort   bool // … and its port too
	SpoofMark   uint32

	// TLS termination.
	TLSVersion, TLSCipher, NegotiatedALPN string
	TLSSessionID                          string       // hexadecimal; "" when there is none
	TLSResumed                            bool         // a session was taken up again
	PeerCertificate                       *Certificate // of the client; nil when it presented none
	PeerValidated                         bool         // … and it was verified
	LocalCertificate                      *Certificate // ours; nil without TLS
	TLSFailure                            string       // Envoy: DOWNSTREAM_TRANSPORT_FAILURE_REASON

	// The end. BytesReceived and BytesSent are from and to downstream.
	BytesReceived, BytesSent uint64
	Flags                    Flags
	Details                  string // Envoy: CONNECTION_TERMINATION_DETAILS
	UpstreamCluster          string
	UpstreamHost             netip.AddrPort
	UpstreamLocal            netip.AddrPort
	End                      time.Time
	Requests                 uint64 // streams served on the connection
}

// Original is where a cluster of original destinations goes: Dest, unless that
// would come back here.
func (c *Conn) Original() netip.AddrPort {
	if c.SelfDial {
		return netip.AddrPort{}
	}
	return c.Dest
}

// Protocol is the HTTP version of a stream.
type Protocol uint8

// The HTTP versions.
const (
	NoProtocol Protocol = iota
	HTTP10
	HTTP11
	HTTP2
	HTTP3
)

// String gives the version as access logs print it; "-" for none.
func (p Protocol) String() string {
	switch p {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP11:
		return "HTTP/1.1"
	case HTTP2:
		return "HTTP/2"
	case HTTP3:
		return "HTTP/3"
	}
	return "-"
}
