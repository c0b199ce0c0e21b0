package upstream

import (
	"net/netip"
	"sync/atomic"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
	"github.com/weirproxy/weir/proxy/upstream/outlier"
)

// A Host is one endpoint of a cluster. It lives as long as the cluster has an
// endpoint of its address, through every change of the rest.
type Host struct {
	// set when made, never changed
	cluster *Cluster
	key     string // the address as text, or the name of a LOGICAL_DNS host
	pipe    string // unix path, else ""

	addr atomic.Pointer[netip.AddrPort] // changes only for LOGICAL_DNS
	spec atomic.Pointer[spec]

	gen      atomic.Uint32 // counts up when connections of before are not to be used again
	ejected  atomic.Bool   // by outlier detection
	removed  atomic.Bool   // no endpoint any more
	lastUsed atomic.Int64
	monitor  outlier.Monitor
	checks   atomic.Uint32 // what active health checks say; written under the cluster's mu
	checker  *checker      // guarded by the cluster's mu; nil without
	breaker  atomic.Pointer[breaker.Breaker]

	connections limitless // connections to this host
	requests    atomic.Int64
	idle        pool
	shared      sharedPool
	speaksHTTP1 atomic.Bool // ALPN settled on it the last time, where it is asked
	raw         tcpConns

	count hostCounts
}

// spec is what an assignment says of a host.
type spec struct {
	hostname string
	weight   uint32
	health   cluster.Health
	priority uint32
	place    *place         // nil only of a host that no locality has
	labels   cluster.Labels // of its metadata, for the choice of a transport socket
	check    *cluster.EndpointCheck
}

func (s *spec) equal(o *spec) bool {
	return s.hostname == o.hostname && s.weight == o.weight && s.health == o.health && s.priority == o.priority && s.place == o.place &&
		s.labels.Equal(o.labels) && (s.check == o.check || s.check != nil && o.check != nil && *s.check == *o.check)
}

// sameTransport tells whether both choose the same transport socket.
func (s *spec) sameTransport(o *spec) bool {
	return s.labels.Equal(o.labels) && s.around().Equal(o.around())
}

// around is what of the locality's metadata chooses a transport socket.
func (s *spec) around() cluster.Labels {
	if s.place == nil {
		return nil
	}
	return s.place.labels
}

// place is a locality without its endpoints. Hosts hold it, and must not hold the endpoints of every assignment that there was: of two
// assignments one after the other, localities that are alike are one place.
type place struct {
	localityKey
	priority, weight uint32
	labels           cluster.Labels
}

func placeOf(l *cluster.Locality) *place {
	return &place{localityKey{l.Region, l.Zone, l.SubZone}, min(l.Priority, maxPriority), l.Weight, l.Labels}
}

func (p *place) equal(o *place) bool {
	return p.localityKey == o.localityKey && p.priority == o.priority && p.weight == o.weight && p.labels.Equal(o.labels)
}

// hostCounts are a host's counters (Envoy: host statistics).
type hostCounts struct {
	cxTotal, cxConnectFail                 atomic.Uint64
	rqTotal, rqSuccess, rqError, rqTimeout atomic.Uint64
}

// limitless is a count that may have an upper bound; 0 is none.
type limitless struct{ n atomic.Int64 }

func (l *limitless) take(top uint32) bool {
	if top == 0 {
		l.n.Add(1)
		return true
	}
	for {
		n := l.n.Load()
		if n >= int64(top) {
			return false
		}
		if l.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *limitless) give() { l.n.Add(-1) }

// Address is where the host listens; invalid for a unix socket.
func (h *Host) Address() netip.AddrPort { return *h.addr.Load() }

// Cluster is the cluster the host belongs to.
func (h *Host) Cluster() *Cluster { return h.cluster }

// Hostname is the endpoint's hostname, for auto_host_rewrite and auto_sni; "" when
// it has none.
func (h *Host) Hostname() string { return h.spec.Load().hostname }

// Ejected tells whether outlier detection has taken the host out.
func (h *Host) Ejected() bool { return h.ejected.Load() }

// String is the address as Envoy writes it.
func (h *Host) String() string {
	if a := h.Address(); a.IsValid() {
		return a.String()
	}
	return h.key
}

// state sorts hosts as Envoy does: unhealthy ones are used only in panic.
type state uint8

const (
	healthy state = iota
	degraded
	unhealthy
)

func (h *Host) state() state { return h.stateOf(h.spec.Load()) }

func (h *Host) stateOf(s *spec) state {
	checks := h.checks.Load()
	if h.ejected.Load() || checks&failedCheck != 0 {
		return unhealthy
	}
	switch s.health {
	case cluster.HealthUnknown, cluster.Healthy:
		if checks&degradedCheck != 0 {
			return degraded
		}
		return healthy
	case cluster.Degraded:
		return degraded
	}
	return unhealthy
}
