package doctor

import (
	"net/netip"
	"time"
)

// Live is what a Weir says of itself: a running one by GET /doctor?facts=live, or
// what a configuration file promises (Offline).
type Live struct {
	Offline bool   `json:"offline,omitempty"`
	PID     int    `json:"pid,omitempty"`
	Version string `json:"version,omitempty"`
	State   string `json:"state,omitempty"` // Envoy's word
	// OwnMark is the packet mark of its own connections; 0 without one.
	OwnMark uint32 `json:"own_mark,omitempty"`
	// Intercept is the name of the rules that it holds itself; "" without.
	Intercept string `json:"intercept,omitempty"`

	Listeners []LiveListener `json:"listeners,omitempty"`
	Clusters  []LiveCluster  `json:"clusters,omitempty"`
	Certs     []LiveCert     `json:"certificates,omitempty"`
	XDS       *LiveXDS       `json:"xds,omitempty"`
	// ControlPlanes are the addresses of control planes, host:port or a path.
	ControlPlanes []string `json:"control_planes,omitempty"`
}

// LiveListener is a listener of the configuration.
type LiveListener struct {
	Name        string           `json:"name"`
	Addresses   []netip.AddrPort `json:"addresses,omitempty"`
	Transparent bool             `json:"transparent,omitempty"`
	Bound       bool             `json:"bound"`
}

// LiveCluster is a cluster and its hosts. Healthy counts those that are used.
type LiveCluster struct {
	Name    string     `json:"name"`
	Type    string     `json:"type"`
	Healthy int        `json:"healthy"`
	Hosts   []LiveHost `json:"hosts,omitempty"`
	// Names are the DNS names that its hosts come from.
	Names []string `json:"names,omitempty"`
}

// LiveHost is a host of a cluster.
type LiveHost struct {
	Addr        string `json:"address"`
	Flags       string `json:"flags"` // Envoy's health flags, or "healthy"
	ConnectFail uint64 `json:"connect_fail,omitempty"`
}

// LiveCert is a certificate that is served or presented.
type LiveCert struct {
	Of        string    `json:"of"`
	Subject   string    `json:"subject"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

// LiveXDS is how the configuration's sources are.
type LiveXDS struct {
	Ready      bool         `json:"ready"`
	ApplyError string       `json:"apply_error,omitempty"`
	Sources    []LiveSource `json:"sources,omitempty"`
	NACKs      []LiveNACK   `json:"nacks,omitempty"` // that stand
	Warming    []LiveWarm   `json:"warming,omitempty"`
	Degraded   []string     `json:"degraded,omitempty"` // kind, name, field and why
	LastGood   *LiveGood    `json:"last_known_good,omitempty"`
}

// LiveSource is one stream or file. For is in seconds.
type LiveSource struct {
	Name      string  `json:"name"`
	Connected bool    `json:"connected"`
	For       float64 `json:"for_s"`
	Error     string  `json:"error,omitempty"`
	Failures  int     `json:"failures,omitempty"`
}

// LiveNACK is a refused response that no accepted one followed.
type LiveNACK struct {
	Type    string    `json:"type"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	Text    string    `json:"text"`
}

// LiveWarm is a resource that waits for another. For is in seconds.
type LiveWarm struct {
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Blocker string  `json:"waits_for"`
	For     float64 `json:"for_s"`
}

// LiveGood says that the last known good configuration serves.
type LiveGood struct {
	Saved     time.Time `json:"saved"`
	Resources int       `json:"resources"`
}
