package tcpproxy

import (
	"math"
	"time"

	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
)

// A Config is the parsed configuration. It is immutable.
type Config struct {
	statPrefix  string
	clusters    []weighted
	total       uint64        // of the weights
	idle        time.Duration // 0: none
	maxDuration time.Duration // 0: none
	attempts    int           // max_connect_attempts
	hashSource  bool          // hash_policy: source_ip
	accessLog   []core.AccessLog
}

type weighted struct {
	name   string
	weight uint32
}

// Clusters are the clusters that connections may go to.
func (c *Config) Clusters() []string {
	out := make([]string, 0, len(c.clusters))
	for _, w := range c.clusters {
		out = append(out, w.name)
	}
	return out
}

// defaultIdle is Envoy's default of idle_timeout.
const defaultIdle = time.Hour

// Factory is envoy.filters.network.tcp_proxy.
func Factory() *extension.Factory {
	return filters.NewNetwork("envoy.filters.network.tcp_proxy", parse, build, filters.Terminating())
}

func parse(m *tcpv3.TcpProxy, ctx *extension.Context) (*Config, error) {
	var l fielderr.List
	c := &Config{
		statPrefix:  m.GetStatPrefix(),
		idle:        l.Duration("idle_timeout", m.GetIdleTimeout(), defaultIdle),
		maxDuration: l.PositiveDuration("max_downstream_connection_duration", m.GetMaxDownstreamConnectionDuration(), 0),
		attempts:    int(min(fielderr.Uint32(m.GetMaxConnectAttempts(), 1), math.MaxInt32)),
	}
	refuse(&l, m)
	c.destinations(&l, m)
	for i, p := range m.GetHashPolicy() {
		switch p.GetPolicySpecifier().(type) {
		case *typev3.HashPolicy_SourceIp_:
			c.hashSource = true
		default:
			l.Addf(fielderr.Index("hash_policy", i), "not supported (supported: source_ip)")
		}
	}
	c.accessLog = core.DecodeAccessLogs(&l, "access_log", m.GetAccessLog(), ctx)
	return c, l.Err()
}

// refuse names the fields that would make a connection go another way, or last
// another time, than the configuration says. The support table has the lesser
// ones.
func refuse(l *fielderr.List, m *tcpv3.TcpProxy) {
	for _, f := range []struct {
		path string
		set  bool
		hint string
	}{
		{"tunneling_config", m.GetTunnelingConfig() != nil, ""},
		{"on_demand", m.GetOnDemand() != nil, ""},
		{"backoff_options", m.GetBackoffOptions() != nil, ": connect attempts follow each other at once"},
		{"downstream_idle_timeout", m.GetDownstreamIdleTimeout() != nil, " (use idle_timeout)"},
		{"upstream_idle_timeout", m.GetUpstreamIdleTimeout() != nil, " (use idle_timeout)"},
		{"upstream_connect_mode", m.GetUpstreamConnectMode() != 0, ": the upstream connection is opened at once"},
	} {
		if f.set {
			l.Addf(f.path, "not supported%s", f.hint)
		}
	}
}

// destinations reads cluster or weighted_clusters.
func (c *Config) destinations(l *fielderr.List, m *tcpv3.TcpProxy) {
	switch s := m.GetClusterSpecifier().(type) {
	case *tcpv3.TcpProxy_Cluster:
		if s.Cluster == "" {
			l.Addf("cluster", "empty")
		}
		c.clusters, c.total = []weighted{{s.Cluster, 1}}, 1
	case *tcpv3.TcpProxy_WeightedClusters:
		for _, w := range s.WeightedClusters.GetClusters() {
			c.clusters = append(c.clusters, weighted{w.GetName(), w.GetWeight()})
			c.total += uint64(w.GetWeight())
		}
		if c.total == 0 {
			l.Addf("weighted_clusters.clusters", "the weights add up to 0")
		}
	default:
		l.Addf("cluster", "unset: one of cluster and weighted_clusters is needed")
	}
}

// draw gives the cluster of a random number.
func (c *Config) draw(r uint64) string {
	r %= c.total
	for _, w := range c.clusters {
		if r < uint64(w.weight) {
			return w.name
		}
		r -= uint64(w.weight)
	}
	return c.clusters[len(c.clusters)-1].name
}
