package info

import "strings"

// Flags is a set of response flags: why a response or a connection ended as it
// did, in Envoy's short codes (Envoy: access log RESPONSE_FLAGS).
type Flags uint64

// The response flags, each set once, where the reason is known.
const (
	FailedLocalHealthCheck          Flags = 1 << iota // LH
	NoHealthyUpstream                                 // UH
	UpstreamRequestTimeout                            // UT
	LocalReset                                        // LR
	UpstreamRemoteReset                               // UR
	UpstreamConnectionFailure                         // UF
	UpstreamConnectionTermination                     // UC
	UpstreamOverflow                                  // UO: a circuit breaker threshold
	NoRoute                                           // NR: no route, or no filter chain
	DelayInjected                                     // DI
	FaultInjected                                     // FI
	RateLimited                                       // RL
	UnauthorizedExternalService                       // UAEX
	RateLimitServiceError                             // RLSE
	DownstreamConnectionTermination                   // DC
	UpstreamRetryLimitExceeded                        // URX
	StreamIdleTimeout                                 // SI
	InvalidEnvoyRequestHeaders                        // IH
	DownstreamProtocolError                           // DPE
	UpstreamMaxStreamDuration                         // UMSDR
	ResponseFromCache                                 // RFCF
	NoFilterConfig                                    // NFCF
	DurationTimeout                                   // DT
	UpstreamProtocolError                             // UPE
	NoClusterFound                                    // NC
	OverloadManager                                   // OM
	DNSResolutionFailure                              // DF
	DownstreamRemoteReset                             // DR
	UnconditionalDropOverload                         // UDO: drop_overloads of 100 %
	DropOverload                                      // DO: drop_overloads
	numFlags                        = iota
)

// flagNames has the short and the long name of each flag, in bit order.
var flagNames = [numFlags][2]string{
	{"LH", "FailedLocalHealthCheck"},
	{"UH", "NoHealthyUpstream"},
	{"UT", "UpstreamRequestTimeout"},
	{"LR", "LocalReset"},
	{"UR", "UpstreamRemoteReset"},
	{"UF", "UpstreamConnectionFailure"},
	{"UC", "UpstreamConnectionTermination"},
	{"UO", "UpstreamOverflow"},
	{"NR", "NoRouteFound"},
	{"DI", "DelayInjected"},
	{"FI", "FaultInjected"},
	{"RL", "RateLimited"},
	{"UAEX", "UnauthorizedExternalService"},
	{"RLSE", "RateLimitServiceError"},
	{"DC", "DownstreamConnectionTermination"},
	{"URX", "UpstreamRetryLimitExceeded"},
	{"SI", "StreamIdleTimeout"},
	{"IH", "InvalidEnvoyRequestHeaders"},
	{"DPE", "DownstreamProtocolError"},
	{"UMSDR", "UpstreamMaxStreamDurationReached"},
	{"RFCF", "ResponseFromCacheFilter"},
	{"NFCF", "NoFilterConfigFound"},
	{"DT", "DurationTimeout"},
	{"UPE", "UpstreamProtocolError"},
	{"NC", "NoClusterFound"},
	{"OM", "OverloadManagerTerminated"},
	{"DF", "DnsResolutionFailed"},
	{"DR", "DownstreamRemoteReset"},
	{"UDO", "UnconditionalDropOverload"},
	{"DO", "DropOverload"},
}

// Has tells whether any of the given flags is set.
func (f Flags) Has(o Flags) bool { return f&o != 0 }

// Append writes the short names joined with ",", or "-" when none is set.
func (f Flags) Append(b []byte) []byte { return f.appendNames(b, 0) }

// AppendLong writes the long names joined with ",", or "-" when none is set.
func (f Flags) AppendLong(b []byte) []byte { return f.appendNames(b, 1) }

func (f Flags) appendNames(b []byte, col int) []byte {
	if f == 0 {
		return append(b, '-')
	}
	sep := false
	for i := range flagNames {
		if f&(1<<i) == 0 {
			continue
		}
		if sep {
			b = append(b, ',')
		}
		b, sep = append(b, flagNames[i][col]...), true
	}
	return b
}

// String gives the short names joined with ",", or "-".
func (f Flags) String() string { return string(f.Append(nil)) }

// ParseFlag gives the flag of a short name.
func ParseFlag(short string) (Flags, bool) {
	for i := range flagNames {
		if strings.EqualFold(flagNames[i][0], short) {
			return 1 << i, true
		}
	}
	return 0, false
}
