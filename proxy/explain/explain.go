// Package explain answers why a connection and a request go where they go: which listener, filter chain, virtual host, route, share,
// cluster and hosts, and at each step why the others lost.
//
//  1. A [Question] is what is known of a connection and a request.
//  2. [World.Ask] takes it through the configuration of a [World]: that of a file, or the one in force with the clusters as they are.
//  3. Every decision is made by the function that the data path calls, with a trace. What is here is the order of the questions.
//
// HTTP filters before the router are not run: what they would change or refuse is not known here, and the answer names them.
package explain

import (
	"net/netip"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/upstream"
)

// A Question is a connection, and the request on it if Method is set.
type Question struct {
	Listener    string         `json:"listener,omitempty"`    // "" finds it by the destination
	Source      netip.AddrPort `json:"source,omitempty"`      // of the client
	Destination netip.AddrPort `json:"destination,omitempty"` // where the client wanted to go
	TLS         bool           `json:"tls,omitempty"`         // the client speaks TLS
	ServerName  string         `json:"server_name,omitempty"` // SNI
	ALPN        []string       `json:"alpn,omitempty"`

	HTTP2   bool    `json:"http2,omitempty"`
	Method  string  `json:"method,omitempty"`
	Host    string  `json:"host,omitempty"`
	Path    string  `json:"path,omitempty"`
	Headers []Field `json:"headers,omitempty"`
	// Draw is the request's random number; nil takes that of its x-request-id, else any.
	Draw *uint64 `json:"draw,omitempty"`
	// Scope is the key of the request's scope of routes (route.Scope.Key) when that is known and the fields are not that make it.
	Scope string `json:"-"`
}

// A Field is a field of the request.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A World is what is asked.
type World struct {
	Snapshot *config.Snapshot
	Clusters *upstream.Manager // nil: the answer ends with the cluster
	// Table gives the route table in force under a key, with the virtual hosts that were discovered; nil takes the snapshot's.
	Table func(key string) *route.Table
	// Offline says that the clusters are not run: names are not resolved, hosts not watched.
	Offline bool
}

// An Answer is what becomes of it. What was not come to is empty.
type Answer struct {
	Outcome  string `json:"outcome"` // in a sentence
	Reached  bool   `json:"reached"` // there is a host to go to, or the answer is meant
	Snapshot uint64 `json:"snapshot,omitempty"`

	Listener    *Resource `json:"listener,omitempty"`
	Chain       string    `json:"filter_chain,omitempty"`
	Terminal    string    `json:"terminal_filter,omitempty"`
	RouteConfig *Resource `json:"route_config,omitempty"`
	VirtualHost string    `json:"virtual_host,omitempty"`
	Route       string    `json:"route,omitempty"`
	Code        int       `json:"code,omitempty"` // of an answer that comes from no upstream
	Details     string    `json:"details,omitempty"`
	Cluster     *Resource `json:"cluster,omitempty"`
	Host        string    `json:"host,omitempty"`
	Hosts       []string  `json:"hosts,omitempty"` // that it is one of

	Budget *Budget `json:"budget,omitempty"`
	Limits *Limits `json:"limits,omitempty"`

	Stages []Stage `json:"stages"`
}

// A Resource is a resource that decided, with its version.
type Resource struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"` // "" for what is in the bootstrap
	Static  bool   `json:"static,omitempty"`
}

// Budget is how long the request may take, in milliseconds; 0 is no bound.
type Budget struct {
	Timeout    int64  `json:"timeout_ms"`
	PerTry     int64  `json:"per_try_timeout_ms"`
	PerTryIdle int64  `json:"per_try_idle_timeout_ms"`
	Idle       int64  `json:"idle_timeout_ms"`
	Max        int64  `json:"max_stream_duration_ms"`
	Connect    int64  `json:"connect_timeout_ms"`
	Retries    uint32 `json:"retries"`
}

// Limits are a cluster's circuit breakers, and how much of them is taken.
type Limits struct {
	Connections    int64 `json:"connections"`
	MaxConnections int64 `json:"max_connections"`
	Pending        int64 `json:"pending"`
	MaxPending     int64 `json:"max_pending"`
	Requests       int64 `json:"requests"`
	MaxRequests    int64 `json:"max_requests"`
	Retries        int64 `json:"retries"`
	MaxRetries     int64 `json:"max_retries"`
}

// A Stage is one decision with everything that was looked at for it.
type Stage struct {
	Name  string       `json:"name"`
	Steps []match.Step `json:"steps"`
}

// note adds a stage of one step.
func (a *Answer) note(stage string, ok bool, subject, format string, args ...any) {
	var tr match.Trace
	tr.Note(ok, subject, format, args...)
	a.add(stage, &tr)
}

// add adds what a trace has as a stage, or to the last one if that is the same.
func (a *Answer) add(stage string, tr *match.Trace) {
	if len(tr.Steps) == 0 {
		return
	}
	if n := len(a.Stages); n > 0 && a.Stages[n-1].Name == stage {
		a.Stages[n-1].Steps = append(a.Stages[n-1].Steps, tr.Steps...)
		return
	}
	a.Stages = append(a.Stages, Stage{stage, tr.Steps})
}

func resource(r *config.Resource, name string) *Resource {
	if r == nil {
		return &Resource{Name: name}
	}
	return &Resource{Name: r.Name, Version: r.Version, Static: r.Static}
}
