// Package outlier is Envoy's outlier detection (passive health checking) as a
// state machine without a clock: hosts that answer badly are ejected for a while.
//
// It has two halves. A [Monitor] counts what one host does with a few atomic
// operations, on the request path. Only when a threshold is reached does the
// [Detector] of the cluster take a step, in which it decides what happens.
//
// Envoy: outlier detection; DetectorImpl and DetectorHostMonitorImpl. Success
// rate and failure percentage are not part of it.
package outlier

import (
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// Cause is a set of reasons to eject a host.
type Cause uint8

// The causes, in the order in which they are looked at.
const (
	Gateway Cause = 1 << iota // consecutive_gateway_failure
	Server                    // consecutive_5xx
	Local                     // consecutive_local_origin_failure
)

// String gives Envoy's word.
func (c Cause) String() string {
	switch c {
	case Gateway:
		return "consecutive_gateway_failure"
	case Server:
		return "consecutive_5xx"
	case Local:
		return "consecutive_local_origin_failure"
	}
	return "none"
}

// Result is what one exchange says of a host.
type Result uint8

// The results. A local origin is our side of the network: what went wrong before
// the server's HTTP could.
const (
	Responded     Result = iota // with a status
	ConnectFailed               // no connection, or it broke
	TimedOut                    // no response in time
)

// A Monitor counts one host's failures in a row. The zero value is ready.
type Monitor struct {
	// Owner is for whoever steps the Detector; set before the host is added.
	Owner any

	server, gateway, local atomic.Uint32

	// owned by the Detector
	known   bool
	at      int // in the Detector's hosts, when known
	ejected bool
	since   time.Time // of the last ejection
	backoff int       // multiplies the base ejection time
	times   uint64    // ejections in all
}

// Observe counts one exchange and tells which thresholds it has just reached. It
// takes no lock. code is looked at only with Responded.
func (m *Monitor) Observe(cfg *cluster.Outlier, r Result, code int) Cause {
	if cfg.SplitLocal {
		if r != Responded {
			return reached(&m.local, cfg.ConsecutiveLocal, Local)
		}
		clear(&m.local)
		return m.status(cfg, code)
	}
	// Without the split, failures of ours count as the status a client would see
	// (Envoy: resultToHttpCode).
	switch r {
	case ConnectFailed:
		code = 503
	case TimedOut:
		code = 504
	}
	return m.status(cfg, code)
}

func (m *Monitor) status(cfg *cluster.Outlier, code int) (c Cause) {
	if code < 500 {
		clear(&m.server)
		clear(&m.gateway)
		return 0
	}
	if code == 502 || code == 503 || code == 504 {
		c |= reached(&m.gateway, cfg.ConsecutiveGateway, Gateway)
	} else {
		clear(&m.gateway)
	}
	return c | reached(&m.server, cfg.Consecutive5xx, Server)
}

// reached adds one and tells whether that was the one.
func reached(n *atomic.Uint32, threshold uint32, c Cause) Cause {
	if n.Add(1) == threshold {
		return c
	}
	return 0
}

// clear writes only when there is something to clear: while all is well, the
// cache line stays shared.
func clear(n *atomic.Uint32) {
	if n.Load() != 0 {
		n.Store(0)
	}
}

func (m *Monitor) reset() {
	m.server.Store(0)
	m.gateway.Store(0)
	m.local.Store(0)
}
