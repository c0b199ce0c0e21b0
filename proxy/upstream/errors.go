package upstream

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/weirproxy/weir/proxy/info"
)

// An Error is why there is no response from upstream. Where it is one of a
// cluster's limits it is made once and shared: it must not be changed.
type Error struct {
	Op      string         // what was being done: "pick", "connect", "request", …
	Host    netip.AddrPort // which host, when one was chosen
	Flag    info.Flags     // the response flag
	Details string         // Envoy's word: "remote_connection_failure", "overflow", "no_healthy_upstream", …
	Reused  bool           // the connection had been used before
	Sent    bool           // bytes of the request have left us
	Another bool           // nothing was tried: another host may be picked at once, without a retry
	Err     error          // the cause; may be nil
}

// Details of errors, as Envoy's RESPONSE_CODE_DETAILS and reset reasons spell
// them; those of the half-open breaker are ours.
const (
	DetailsNoHealthy         = "no_healthy_upstream"
	DetailsOverflow          = "overflow"
	DetailsConnectFailure    = "remote_connection_failure"
	DetailsLocalFailure      = "local_connection_failure"
	DetailsConnectTimeout    = "connection_timeout"
	DetailsTermination       = "connection_termination"
	DetailsResponseTimeout   = "response_timeout"
	DetailsDropOverload      = "drop_overload"
	DetailsDropAll           = "unconditional_drop_overload"
	DetailsBreakerOpen       = "circuit_breaker_open"
	DetailsNoOriginalDest    = "no_original_destination"
	DetailsDownstreamAborted = "downstream_remote_disconnect"
)

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Host.IsValid() {
		b.WriteString(" ")
		b.WriteString(e.Host.String())
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	} else if e.Details != "" {
		b.WriteString(": ")
		b.WriteString(e.Details)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// errLimit is the cause of the error of every limit.
var errLimit = errors.New("circuit breaker limit reached")

// The errors of a choice, shared by all clusters: they must not be changed.
var (
	ErrNoHealthy     = &Error{Op: "pick", Flag: info.NoHealthyUpstream, Details: DetailsNoHealthy, Err: errors.New("no healthy host")}
	ErrUnresolved    = &Error{Op: "pick", Flag: info.NoHealthyUpstream | info.DNSResolutionFailure, Details: DetailsNoHealthy, Err: errors.New("no host: its name does not resolve")}
	ErrDropped       = &Error{Op: "pick", Flag: info.DropOverload, Details: DetailsDropOverload, Err: errors.New("dropped by drop_overloads")}
	ErrDroppedAll    = &Error{Op: "pick", Flag: info.UnconditionalDropOverload, Details: DetailsDropAll, Err: errors.New("dropped by drop_overloads of 100 %")}
	ErrBreakerOpen   = &Error{Op: "pick", Flag: info.UpstreamOverflow, Details: DetailsBreakerOpen, Err: errors.New("the half-open circuit breaker of every host is open")}
	ErrNoDestination = &Error{Op: "pick", Flag: info.NoHealthyUpstream, Details: DetailsNoOriginalDest, Err: errors.New("no original destination")}
	ErrRemoved       = &Error{Op: "open", Flag: info.NoClusterFound, Details: "cluster_not_found", Err: errors.New("the cluster has been removed")}
)
