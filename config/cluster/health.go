package cluster

import "time"

// A HealthCheck is active health checking (Envoy: config.core.v3.HealthCheck). One of HTTP, TCP and GRPC is set. It is immutable.
type HealthCheck struct {
	Timeout  time.Duration // of one check, the connection included
	Interval time.Duration // between checks of a healthy host …

	NoTraffic        time.Duration // … while the cluster has had no connection, default 60 s …
	NoTrafficHealthy time.Duration // … and the host is healthy, default NoTraffic
	Unhealthy        time.Duration // … of an unhealthy host, default Interval
	UnhealthyEdge    time.Duration // … while failures are counted, default Unhealthy
	HealthyEdge      time.Duration // … while successes are counted, default Interval

	InitialJitter         time.Duration // at most, before the first check
	IntervalJitter        time.Duration // at most, added to every interval
	IntervalJitterPercent uint32        // likewise, of the interval

	UnhealthyThreshold uint32 // failures in a row that make a host unhealthy
	HealthyThreshold   uint32 // successes in a row that make it healthy again

	Reuse              bool   // one connection carries many checks (reuse_connection), default true
	AltPort            uint16 // checked instead of the endpoint's; 0 none
	ALPN               []string
	AlwaysLogFailures  bool
	AlwaysLogSuccesses bool

	HTTP *HTTPCheck
	TCP  *TCPCheck
	GRPC *GRPCCheck
}

// An HTTPCheck asks for a path and looks at the status, and at the body where it says what must be in it.
type HTTPCheck struct {
	Host, Path string // Host "": the cluster's name
	Method     string // default GET
	HTTP2      bool   // codec_client_type
	Add        []CheckHeader
	Remove     []string
	Expected   []StatusRange // default 200 only
	Retriable  []StatusRange // count against the unhealthy threshold; other statuses decide at once
	Send       []byte        // the request's body; nil: none
	Receive    [][]byte      // what must be in the response's body, in this order
	BodyLimit  int           // how much of the body is looked at (response_buffer_size, default 1024); 0: all that is read
}

// A CheckHeader is a header that a check sends.
type CheckHeader struct {
	Name, Value string
	Overwrite   bool // instead of what is there
}

// A StatusRange is the statuses from Start up to, but without, End.
type StatusRange struct{ Start, End int64 }

// A TCPCheck connects, sends bytes if there are any, and waits for others.
type TCPCheck struct {
	Send    []byte
	Receive [][]byte // all of them, in this order; what is between does not matter
}

// A GRPCCheck calls grpc.health.v1.Health/Check.
type GRPCCheck struct {
	Service   string
	Authority string // "": the cluster's name
	Metadata  []CheckHeader
}

// An EndpointCheck is how an endpoint differs for active health checks (Envoy: Endpoint.HealthCheckConfig).
type EndpointCheck struct {
	Port     uint16 // 0: the endpoint's
	Hostname string // of the request; "" leaves the check's
	Disabled bool   // disable_active_health_check
}
