// Package upstream has the clusters at run time: their hosts and which of them
// may be used, the choice of one, the connections to it, and every limit on the
// way.
//
// The life of an attempt:
//
//  1. [Manager.Get] finds the cluster, without a lock.
//  2. [Cluster.TakeRequest] counts the request against max_requests; a retry is
//     counted by [Cluster.TakeRetry] besides. Whoever takes gives back.
//  3. [Cluster.Pick] chooses a host: a priority by the health of each, a locality
//     by its weight, a host by the policy. It reads one immutable set and never
//     blocks.
//  4. [Cluster.OpenHTTP] takes the most recently used idle connection to it, or
//     dials one, or waits in a queue for one when max_connections are open. What
//     fails here is reported to outlier detection here.
//  5. The caller speaks through the [Attempt] and tells what came of it with
//     [Attempt.Report]: once, as soon as the response head, the failure or the
//     timeout is known.
//  6. [Attempt.Release] gives the connection back, or [Attempt.Abort] resets it.
//
// Configuration arrives by [Manager.Apply], which changes what changed and leaves
// the rest running; what needs time happens in [Manager.Run], on one goroutine.
package upstream

import (
	"net/netip"
	"time"

	"github.com/weirproxy/weir/proxy/netio"
)

// PickInfo is what a host is chosen by.
type PickInfo struct {
	Hash         uint64         // of the route's hash policy
	HasHash      bool           // … when it gave one
	Rand         uint64         // the request's random number; 0: one is drawn
	Tried        []*Host        // hosts to avoid (previous_hosts)
	HostAttempts int            // host_selection_retry_max_attempts: how often a tried host is turned down
	Dest         netip.AddrPort // original destination, for clusters of that type
	High         bool           // routing priority HIGH
}

// OpenInfo is how a connection is wanted.
type OpenInfo struct {
	Source      netip.AddrPort   // bind to it, when valid
	Transparent bool             // Source is the client's, not ours
	Mark        uint32           // SO_MARK instead of Options.OwnMark; 0 none
	Namespace   *netio.Namespace // where the connection is made; nil: here
	Deadline    time.Time        // of the request; the cluster's connect timeout holds besides
	High        bool             // routing priority HIGH
	HTTP2       bool             // the downstream connection speaks HTTP/2, for clusters that do as it does
	Fresh       bool             // no pooled connection
	SNI         string           // the server name that TLS sends instead of the configured one (auto_sni); "" leaves that
	SAN         string           // what the certificate must be good for, besides the configured names (auto_san_validation); "" is none
	Loop        int              // the event loop of the downstream connection: one that waits there is preferred
	ALPN        []string         // for raw bytes: what TLS offers when the transport socket names no protocols
	Abortable   bool             // for raw bytes: the end of ctx ends the dialling
}

// Failure is how an attempt failed, other than by a status code.
type Failure uint8

// The failures. Connection failures are reported by OpenHTTP and OpenTCP
// themselves; a Report of one by a caller only gives the breaker's token back.
const (
	None           Failure = iota
	ConnectFail            // no connection: refused, unreachable, reset
	ConnectTimeout         // no connection in time
	Timeout                // no response in time (global or per-try timeout)
	Reset                  // the connection broke before the response was whole
	Protocol               // what came was not HTTP
	Cancelled              // we or the client gave up: says nothing about the host
)

// Outcome is what came of an attempt.
type Outcome struct {
	Code    int           // response status, 0 when there was no response
	Failure Failure       // None when there was one
	Latency time.Duration // from the request's last byte to the response head; 0 unknown
}

// failed tells whether the host did badly, and whether it says anything at all.
func (o Outcome) failed() (failed, counts bool) {
	switch {
	case o.Failure == Cancelled:
		return false, false
	case o.Failure != None:
		return true, true
	}
	return o.Code >= 500, true
}
