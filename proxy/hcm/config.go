package hcm

import (
	"net/netip"
	"time"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/codec/h1"
)

// Config is the model of an Envoy HttpConnectionManager. It is immutable.
type Config struct {
	StatPrefix string
	Codec      Codec

	RouteName string       // rds.route_config_name, else
	RouteKey  string       // by which the data plane has it (extension.Ref.Key), "" is RouteName
	Table     *route.Table // … the inline route_config
	Scopes    *Scopes      // scoped_routes, in the place of both

	Filters   []extension.Parsed
	AccessLog []core.AccessLog

	// Codec rules and bounds.
	Rules              h1.RequestRules
	HTTP2              core.HTTP2
	IdleTimeout        time.Duration // between requests; default 1 h, 0 off
	MaxConnDuration    time.Duration
	MaxStreamDuration  time.Duration
	MaxRequestsPerConn uint32
	StreamIdle         time.Duration // default 5 min, 0 off
	RequestTimeout     time.Duration // whole request; 0 off
	HeadersTimeout     time.Duration // head of a request; 0 off
	DelayedClose       time.Duration // how long a client that still sends is listened to at the end; default 1 s, 0 off
	Upgrades           []route.Upgrade
	Proxy100Continue   bool

	// The request's path and host.
	NormalizePath, MergeSlashes     bool
	EscapedSlashes                  EscapedSlashes
	StripMatchingPort, StripAnyPort bool
	StripTrailingDot                bool
	UseRemoteAddress, SkipXFFAppend bool
	TrustedHops                     uint32
	InternalNets                    []netip.Prefix // internal_address_config
	Via                             string
	GenerateRequestID               bool // default true
	PreserveExternalRequestID       bool
	AlwaysSetRequestIDInResponse    bool
	SchemeToOverwrite               string
	ForwardCert                     ForwardCert
	CertDetails                     CertDetails // for AppendForwardCert and SanitizeSetCert

	// Transparent adds nothing to requests and responses, and takes nothing away that may be passed on. Set by New.
	Transparent bool

	// The response.
	ServerName   string
	ServerHeader ServerHeader
}

// Scopes is scoped_routes: several route tables, of which the request chooses one.
type Scopes struct {
	Name   string
	Key    route.ScopeKey
	Source string           // by which the data plane knows the scopes that SRDS brings, else
	Inline []*route.Scope   // … scoped_route_configurations_list
	Routes extension.Source // where the tables come from (rds_config_source)
}

// RouteTable is the inline route table, nil when RDS brings it; lints of a
// configuration look into it.
func (c *Config) RouteTable() *route.Table { return c.Table }

// transparent is the configuration of a chain that adds nothing.
func (c *Config) transparent() *Config {
	t := *c
	t.Transparent = true
	t.ServerHeader, t.Via, t.SchemeToOverwrite = PassThrough, "", ""
	t.GenerateRequestID, t.AlwaysSetRequestIDInResponse = false, false
	t.ForwardCert = AlwaysForwardCert
	return &t
}

// Codec is codec_type.
type Codec uint8

// The codec types.
const (
	Auto Codec = iota
	HTTP1
	HTTP2
)

// EscapedSlashes is path_with_escaped_slashes_action.
type EscapedSlashes uint8

// The actions on %2F and %5C in a path.
const (
	KeepEscaped EscapedSlashes = iota
	RejectEscaped
	UnescapeAndRedirect
	UnescapeAndForward
)

// ServerHeader is server_header_transformation.
type ServerHeader uint8

// The transformations of the Server field.
const (
	Overwrite ServerHeader = iota
	AppendIfAbsent
	PassThrough
)
