// Package cluster is the compiled Envoy Cluster and ClusterLoadAssignment: how hosts are found, balanced, limited and connected
// to.
package cluster

import (
	"net/netip"
	"time"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
)

// A Cluster is the compiled model of an Envoy Cluster. It is immutable.
type Cluster struct {
	Name     string
	StatName string // alt_stat_name, else Name
	Type     DiscoveryType

	EDSName    string      // the ClusterLoadAssignment's name, for EDS
	EDSKey     string      // by which a snapshot has it (extension.Ref.Key); "" is EDSName
	Assignment *Assignment // inline load_assignment, else nil
	DNS        DNS         // for StrictDNS and LogicalDNS
	Original   OriginalDst // for ORIGINAL_DST

	ConnectTimeout   time.Duration // default 5 s
	BufferLimit      uint32        // default 1 MiB
	LB               LB
	Panic            float64 // healthy_panic_threshold in percent, default 50; 0 never panics
	LocalityWeighted bool

	Default, High         Thresholds   // circuit_breakers by priority
	PerHostMaxConnections uint32       // per_host_thresholds; 0 none
	Outlier               *Outlier     // nil when not configured
	Breaker               *Breaker     // weir.circuit_breaker; nil when not configured
	Health                *HealthCheck // health_checks; nil when not configured

	HTTP            HTTPOptions
	TransportSocket *extension.Parsed // nil is raw_buffer
	// TransportMatches are transport_socket_matches: ChooseTransport says which an endpoint uses instead.
	TransportMatches []TransportMatch

	Bind                  netip.Addr // upstream_bind_config source address; invalid when unset
	BindFreebind          bool
	KeepAlive             *KeepAlive // upstream_connection_options.tcp_keepalive
	IgnoreHealthOnRemoval bool
	CloseOnUnhealthy      bool          // close_connections_on_host_health_failure
	CleanupInterval       time.Duration // of ORIGINAL_DST hosts, default 5 s
}

// DiscoveryType is how a cluster finds its hosts.
type DiscoveryType uint8

// The discovery types.
const (
	Static DiscoveryType = iota
	StrictDNS
	LogicalDNS
	EDS
	OriginalDestination
)

// DNS is how names are resolved.
type DNS struct {
	Family         DNSFamily
	Refresh        time.Duration // default 5 s
	FailureRefresh time.Duration // default: Refresh; doubles with each failure …
	RespectTTL     bool

	FailureRefreshMax time.Duration // … up to this
}

// DNSFamily is dns_lookup_family.
type DNSFamily uint8

// The lookup families.
const (
	FamilyAuto DNSFamily = iota // IPv6 first, IPv4 when there is none
	V4Only
	V6Only
	V4Preferred
	All
)

// OriginalDst is original_dst_lb_config.
type OriginalDst struct {
	UseHeader    bool
	HeaderName   string // default x-envoy-original-dst-host
	PortOverride uint16
}

// LB is the load-balancing policy.
type LB struct {
	Policy extension.Parsed // Factory.Kind is LBPolicy
}

// Thresholds are the circuit breaker limits of one priority (Envoy:
// CircuitBreakers.Thresholds). Exact and process-wide.
type Thresholds struct {
	MaxConnections, MaxPending, MaxRequests uint32  // default 1024
	MaxRetries                              uint32  // default 3
	BudgetPercent                           float64 // retry_budget; <0 when unset
	BudgetMinConcurrency                    uint32  // default 3
	BudgetInterval                          time.Duration
	TrackRemaining                          bool
	MaxPools                                uint32 // default unlimited
}

// Outlier is passive health checking (Envoy: OutlierDetection).
type Outlier struct {
	Consecutive5xx, EnforcingConsecutive5xx         uint32 // default 5, 100 %
	ConsecutiveGateway, EnforcingConsecutiveGateway uint32 // default 5, 0 %
	SplitLocal                                      bool
	ConsecutiveLocal, EnforcingConsecutiveLocal     uint32        // default 5, 100 %
	Interval, BaseEjection, MaxEjection             time.Duration // default 10 s, 30 s, 300 s
	MaxEjectionPercent                              uint32        // default 10
	AlwaysEjectOne                                  bool
	KeepEjected                                     bool // a health check that succeeds does not end an ejection (successful_active_health_check_uneject_host: false)
}

// Breaker is Weir's own half-open circuit breaker, one a host
// (typed_extension_protocol_options["weir.circuit_breaker"]).
type Breaker struct {
	FailureRatio float64       // opens at this share of failures, 0–1; 0 off
	MinRequests  uint32        // … once so many were seen in the window
	Consecutive  uint32        // or after so many failures in a row; 0 off
	Window       time.Duration // rolling window
	OpenFor      time.Duration // time before the first probe
	HalfOpenMax  uint32        // probes at once, and successes needed to close
}

// HTTPOptions are upstream protocol options (Envoy: HttpProtocolOptions).
type HTTPOptions struct {
	// Protocol is how requests are sent, H2 how HTTP/2 is spoken where it is.
	Protocol            Protocol
	H2                  core.HTTP2
	IdleTimeout         time.Duration // default 1 h; 0 off
	MaxConnDuration     time.Duration
	MaxRequestsPerConn  uint32 // 0 unlimited
	MaxStreamDuration   time.Duration
	MaxResponseHeaderKB uint32 // default 60
	MaxHeaders          uint32 // fields of a response; default 100
	AutoSNI             bool   // the server name that TLS sends is the request's host …
	AutoSAN             bool   // … which the certificate must be good for (auto_san_validation)
}

// Protocol is the choice of an upstream protocol.
type Protocol uint8

// The choices: one of the two, what the client spoke, or what ALPN settles.
const (
	HTTP1 Protocol = iota
	HTTP2
	LikeDownstream
	ByALPN
)

// KeepAlive is TCP keep-alive; zero fields are the system's defaults.
type KeepAlive struct {
	Probes         uint32
	Time, Interval time.Duration
}

// An Assignment is the compiled ClusterLoadAssignment. It is immutable.
type Assignment struct {
	Cluster          string
	Localities       []Locality
	Overprovisioning uint32  // percent, default 140
	DropPercent      float64 // drop_overloads, all categories together
}

// A Locality is one LocalityLbEndpoints.
type Locality struct {
	Region, Zone, SubZone string
	Priority              uint32
	Weight                uint32 // 0: not configured
	Labels                Labels // for ChooseTransport
	Endpoints             []*Endpoint
}

// An Endpoint is one host, or a name that DNS turns into hosts.
type Endpoint struct {
	Addr     netip.AddrPort // invalid when Name is to be resolved
	Name     string         // DNS name, for DNS clusters
	Port     uint16         // of Name
	Hostname string
	Weight   uint32 // default 1
	Health   Health
	Pipe     string         // unix path, else ""
	Labels   Labels         // for ChooseTransport
	Check    *EndpointCheck // health_check_config; nil when not configured
}

// Health is the health the control plane reports.
type Health uint8

// The health states.
const (
	HealthUnknown Health = iota // counts as healthy
	Healthy
	Degraded
	Unhealthy
	Draining
	Timeout
)
