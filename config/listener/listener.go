// Package listener is the compiled Envoy Listener: addresses, listener filters, filter chains, and the Selector that finds a
// connection's chain in Envoy's order.
package listener

import (
	"crypto/sha256"
	"net/netip"
	"strconv"
	"time"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// A Listener is the compiled model of an Envoy Listener. It is immutable.
type Listener struct {
	Name      string
	Addresses []Address // address, then additional_addresses

	Transparent    bool // IP_TRANSPARENT
	Freebind       bool
	UseOriginalDst bool // hand connections to the listener of their original destination; Filters has original_dst then
	BindToPort     bool // default true; false: reached through another listener only
	ReusePort      bool // enable_reuse_port, default true
	Backlog        int  // tcp_backlog_size; 0 is the system's default
	Direction      Direction
	// IgnoreLimit leaves its connections out of the limit that all listeners share (ignore_global_conn_limit,
	// bypass_overload_manager).
	IgnoreLimit bool

	Filters           []ListenerFilter // with original_dst and tls_inspector where Envoy adds them itself
	FiltersTimeout    time.Duration    // default 15 s; 0 waits for ever
	ContinueOnTimeout bool             // else the connection is closed
	Sniffing          Sniffing         // of metadata, beyond Envoy's fields

	Selector *Selector // over Chains and Default
	Chains   []*FilterChain
	Default  *FilterChain // nil when not configured

	AccessLog   []core.AccessLog
	BufferLimit uint32 // per_connection_buffer_limit_bytes, default 1 MiB
	StatPrefix  string // default: the first address
}

// An Address is where a listener listens: ip:port or a unix path.
type Address struct {
	Addr   netip.AddrPort
	Pipe   string
	V6Dual bool   // ipv4_compat: also takes IPv4
	NetNS  string // network_namespace_filepath: where the socket is; "" is here
}

// Direction is traffic_direction.
type Direction uint8

// The traffic directions.
const (
	Unspecified Direction = iota
	Inbound
	Outbound
)

// A ListenerFilter is one configured listener filter and when it is skipped.
type ListenerFilter struct {
	extension.Parsed
	DisabledFor *Predicate // filter_disabled; nil never skips
}

// A FilterChain is one compiled filter chain.
type FilterChain struct {
	Name            string // "" when unnamed
	Index           int    // place in Listener.Chains; -1 for the default chain
	Match           *Match // nil matches everything
	Filters         []extension.Parsed
	TransportSocket *extension.Parsed // nil is raw_buffer
	ConnectTimeout  time.Duration     // transport_socket_connect_timeout; 0 unset
	Transparent     bool              // HTTP messages are passed on without a field of our own (metadata: HTTPKey)

	sum [sha256.Size]byte // of the message; zero: not decoded from one
}

// SameBytes tells whether two chains were decoded from the same message.
func (f *FilterChain) SameBytes(o *FilterChain) bool {
	return f.sum == o.sum && f.sum != [sha256.Size]byte{}
}

// Label names the chain for logs and explanations, also when the configuration does not: by name and else by place.
func (f *FilterChain) Label() string {
	switch {
	case f.Index < 0 && f.Name == "":
		return "default_filter_chain"
	case f.Name == "":
		return fielderr.Index("filter_chains", f.Index)
	}
	return strconv.Quote(f.Name)
}

// match is the chain's match, an empty one when it has none.
func (f *FilterChain) match() *Match {
	if f.Match == nil {
		return &Match{}
	}
	return f.Match
}
