// Package route has the model of a RouteConfiguration: virtual hosts, routes and
// what they do, compiled from Envoy's messages by Decode and asked by Table.Match
// for each request without allocating.
package route

import (
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/proxy/header"
)

// A Request is what a route is chosen by. The slices point into Headers.
type Request struct {
	Authority, Path, Method []byte
	Headers                 *header.Headers
	Rand                    uint64 // the request's own random number: every draw is derived from it
	TLS                     bool   // arrived over TLS (require_tls, scheme)

	// Memory that matching reuses: a Request that stays with its stream and is
	// changed field by field makes every match free of allocations.
	scratch match.Scratch
	host    [64]byte
}

// A Route is one compiled entry of a virtual host. It is immutable.
type Route struct {
	Name        string
	Index       int // place in VirtualHost.Routes; -1 for the redirect of require_tls
	VirtualHost *HostSettings
	criteria    criteria

	specificLast bool // most_specific_header_mutations_wins

	// What to do: exactly one is set.
	Forward  *Forward
	Redirect *Redirect
	Direct   *DirectResponse

	// Header changes in the order they are applied (Envoy: route, virtual host,
	// route configuration; reversed by most_specific_header_mutations_wins).
	// Those of a weighted cluster come first and are in its ClusterWeight.
	RequestMutations  []*Mutations
	ResponseMutations []*Mutations

	FilterConfigs []FilterConfig // typed_per_filter_config, the most specific of each filter
	BufferLimit   int64          // request bytes kept for retries; -1 when not configured
}

// A FilterConfig is the per-route configuration of one HTTP filter.
type FilterConfig struct {
	Filter   string // the filter's name in the chain
	Config   any    // what its ParseRoute made; nil when only Disabled is set
	Disabled bool
}

// Layered is a per-route configuration that does not replace the one of the
// filter at a more general level.
type Layered interface {
	// Over gives the two together. Both are shared and stay as they are.
	Over(general any) any
}

// FilterConfig finds the route's configuration for a filter of the chain.
func (r *Route) FilterConfig(filter string) (cfg any, disabled, ok bool) {
	return findConfig(r.FilterConfigs, filter)
}

func findConfig(l []FilterConfig, filter string) (any, bool, bool) {
	for i := range l {
		if l[i].Filter == filter {
			return l[i].Config, l[i].Disabled, true
		}
	}
	return nil, false, false
}

// Forward is a route action that proxies.
type Forward struct {
	// Where: one of the three is set.
	Cluster       string
	ClusterHeader header.Name
	Weighted      *Weighted

	NotFoundCode int // cluster_not_found_response_code: 503, 404 or 500

	Timeouts    Timeouts
	Retry       *RetryPolicy // nil when none is configured
	High        bool         // priority HIGH: the second set of circuit breaker thresholds
	HashPolicy  []HashPolicy
	Rewrite     Rewrite
	Upgrades    []Upgrade // upgrade_configs of the route, overriding the HCM's
	AppendXFH   bool      // append_x_forwarded_host
	MatchedPath string    // prefix or path that matched, for prefix_rewrite and redirects
}

// Weighted is percentage routing (Envoy: weighted_clusters).
type Weighted struct {
	Clusters      []ClusterWeight
	Total         uint64
	HeaderName    header.Name // when the request has this header, its number decides
	UseHashPolicy bool

	live bool // the runtime may say other weights: Total is not theirs
}

// A ClusterWeight is one share of a Weighted.
type ClusterWeight struct {
	Name              string
	ClusterHeader     header.Name // the request header with the name, when Name is ""
	Weight            uint32
	key               *runtime.Key // of the weight (runtime_key_prefix)
	RequestMutations  *Mutations   // nil when there is none
	ResponseMutations *Mutations
	HostRewrite       string
	FilterConfigs     []FilterConfig // its own over the route's
}

// Timeouts of a route; 0 is off, unset says the HCM's applies.
type Timeouts struct {
	Route   time.Duration // whole response, retries included; default 15 s, and off with OfStream
	Idle    time.Duration // stream idle
	IdleSet bool

	// max_stream_duration. OfStream says that the message is there: the route timeout
	// is then off, and gRPC requests are told the duration in grpc-timeout (Envoy:
	// usingNewTimeouts).
	OfStream              bool
	MaxStreamDuration     time.Duration
	MaxStreamSet          bool
	GrpcTimeoutHeaderMax  time.Duration
	GrpcTimeoutHeaderSet  bool
	GrpcTimeoutHeaderOffs time.Duration

	// The deprecated max_grpc_timeout and grpc_timeout_offset: the route timeout of
	// gRPC requests is then that of their grpc-timeout. They do nothing with OfStream.
	MaxGrpc    time.Duration
	MaxGrpcSet bool
	GrpcOffset time.Duration
}

// RetryOn is a set of retry conditions (Envoy: x-envoy-retry-on and
// x-envoy-retry-grpc-on).
type RetryOn uint32

// The retry conditions.
const (
	On5xx RetryOn = 1 << iota
	OnGatewayError
	OnReset
	OnResetBeforeRequest
	OnConnectFailure
	OnEnvoyRatelimited
	OnRetriable4xx
	OnRefusedStream
	OnRetriableStatusCodes
	OnRetriableHeaders
	OnHTTP3PostConnectFailure
	OnGrpcCancelled
	OnGrpcDeadlineExceeded
	OnGrpcInternal
	OnGrpcResourceExhausted
	OnGrpcUnavailable
)

// HeaderMatcher is a condition on a header, of the request or the response.
type HeaderMatcher = match.Header

// A RetryPolicy says when another try is made (Envoy: RetryPolicy).
type RetryPolicy struct {
	On                 RetryOn
	NumRetries         uint32 // default 1
	PerTry, PerTryIdle time.Duration
	StatusCodes        []uint32 // retriable_status_codes
	Headers            []HeaderMatcher
	RequestHeaders     []HeaderMatcher // retriable_request_headers: when set, one must match
	BackOffBase        time.Duration   // default 25 ms
	BackOffMax         time.Duration   // default 10 × base
	PreviousHosts      bool            // do not pick a host that was tried
	HostAttempts       int             // host_selection_retry_max_attempts, default 1
	ResetHeaders       []ResetHeader   // rate_limited_retry_back_off
	ResetMax           time.Duration   // longest wait that is accepted, default 300 s
}

// A ResetHeader tells how long to wait before a retry after a rate limit.
type ResetHeader struct {
	Name header.Name
	Unix bool // a Unix time rather than seconds
}

// A HashPolicy adds to the hash that ring hash and maglev route by.
type HashPolicy struct {
	Header       header.Name   // when set: the header's values
	HeaderRegex  *RegexRewrite // applied to the header's value first; nil when there is none
	Cookie       string
	CookieTTL    time.Duration // >0: set the cookie when absent
	CookieTTLSet bool
	CookiePath   string
	SourceIP     bool
	QueryParam   string
	Terminal     bool
}

// An Upgrade allows or forbids one protocol of the Upgrade header, or CONNECT.
type Upgrade struct {
	Type    string // lower case
	Enabled bool
	// Terminate has the bytes of a CONNECT go to the cluster's host as they are; else
	// CONNECT itself does (Envoy: connect_config).
	Terminate bool
}

// A Redirect answers with a Location (Envoy: RedirectAction).
type Redirect struct {
	HTTPS       bool
	Scheme      string
	Host        string
	Port        uint32
	Path        string // path_redirect
	PrefixSet   bool
	Prefix      string // prefix_rewrite
	Regex       *RegexRewrite
	Code        int
	StripQuery  bool
	MatchedPath string    // prefix or path of the route
	criteria    *criteria // whose match Prefix replaces; nil for require_tls
}

// A DirectResponse answers without any upstream.
type DirectResponse struct {
	Code int
	Body []byte
}
