package cluster

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// Envoy's defaults (envoy/config/cluster/v3/cluster.proto).
const (
	defaultConnectTimeout  = 5 * time.Second
	defaultBufferLimit     = 1 << 20
	defaultPanic           = 50 // percent
	defaultCleanupInterval = 5 * time.Second
)

// Decode compiles a Cluster. The error, if any, holds every mistake, each with its field path (config/fielderr). An EDS cluster
// requires its assignment of the context.
func Decode(p *clusterv3.Cluster, ctx *extension.Context) (*Cluster, error) {
	var l fielderr.List
	refuse(&l, p)
	refuseFilters(&l, p, ctx)
	d := &Cluster{
		Name:                  p.GetName(),
		StatName:              p.GetAltStatName(),
		ConnectTimeout:        l.PositiveDuration("connect_timeout", p.GetConnectTimeout(), defaultConnectTimeout),
		BufferLimit:           fielderr.Uint32(p.GetPerConnectionBufferLimitBytes(), defaultBufferLimit),
		Panic:                 defaultPanic,
		HTTP:                  decodeHTTP(&l, p),
		IgnoreHealthOnRemoval: p.GetIgnoreHealthOnHostRemoval(),
		CloseOnUnhealthy:      p.GetCloseConnectionsOnHostHealthFailure(),
		CleanupInterval:       l.PositiveDuration("cleanup_interval", p.GetCleanupInterval(), defaultCleanupInterval),
	}
	if d.Name == "" {
		l.Addf("name", "empty")
	}
	if d.StatName == "" {
		d.StatName = d.Name
	}
	if v := p.GetCommonLbConfig().GetHealthyPanicThreshold(); v != nil {
		d.Panic = l.Percent("common_lb_config.healthy_panic_threshold.value", v.GetValue())
	}
	decodeTransport(&l, d, p, ctx)
	decodeDiscovery(&l, d, p, ctx)
	decodeLB(&l, d, p, ctx)
	decodeBreakers(&l, d, p)
	if a := p.GetTypedExtensionProtocolOptions()[BreakerName]; a != nil {
		d.Breaker = decodeBreaker(&l, fielderr.Key("typed_extension_protocol_options", BreakerName), a)
	}
	d.Outlier = decodeOutlier(&l, p.GetOutlierDetection())
	decodeUpstreamConnection(&l, d, p)
	decodeHealth(&l, d, p.GetHealthChecks())
	if err := l.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// refuse names the fields without which another cluster would serve than the one that was meant. The support table refuses
// lesser ones.
func refuse(l *fielderr.List, p *clusterv3.Cluster) {
	for _, f := range []struct {
		path string
		set  bool
	}{
		{"transport_socket_matcher", p.GetTransportSocketMatcher() != nil},
		{"lb_subset_config", p.GetLbSubsetConfig() != nil},
		{"upstream_config", p.GetUpstreamConfig() != nil},
	} {
		if f.set {
			l.Addf(f.path, "not supported")
		}
	}
}

// refuseFilters refuses upstream network filters, of which there are none; those of which the configuration does without are left
// out, such as the exchange of metadata for telemetry that Istio puts there.
func refuseFilters(l *fielderr.List, p *clusterv3.Cluster, ctx *extension.Context) {
	for i, f := range p.GetFilters() {
		if url := f.GetTypedConfig().GetTypeUrl(); ctx.LeaveOut == nil || !ctx.LeaveOut(url) {
			l.Addf(fielderr.Index("filters", i), "%q: upstream network filters are not implemented", f.GetName())
		}
	}
}

func decodeUpstreamConnection(l *fielderr.List, d *Cluster, p *clusterv3.Cluster) {
	if b := p.GetUpstreamBindConfig(); b != nil {
		d.BindFreebind = b.GetFreebind().GetValue()
		if a := b.GetSourceAddress(); a != nil {
			d.Bind = bindAddress(l, "upstream_bind_config", a)
		}
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"extra_source_addresses", len(b.GetExtraSourceAddresses()) > 0},
			{"additional_source_addresses", len(b.GetAdditionalSourceAddresses()) > 0},
			{"local_address_selector", b.GetLocalAddressSelector() != nil},
		} {
			if f.set {
				l.Addf("upstream_bind_config."+f.name, "not supported")
			}
		}
	}
	if k := p.GetUpstreamConnectionOptions().GetTcpKeepalive(); k != nil {
		d.KeepAlive = &KeepAlive{
			Probes:   k.GetKeepaliveProbes().GetValue(),
			Time:     time.Duration(k.GetKeepaliveTime().GetValue()) * time.Second,
			Interval: time.Duration(k.GetKeepaliveInterval().GetValue()) * time.Second,
		}
	}
}

// bindAddress reads the source address of upstream connections: an IP address without a port, which the kernel chooses.
func bindAddress(l *fielderr.List, at string, a *corev3.SocketAddress) netip.Addr {
	at += ".source_address"
	ip, err := netip.ParseAddr(a.GetAddress())
	if err != nil {
		l.Addf(at+".address", "%q is not an IP address", a.GetAddress())
	}
	if a.GetPortValue() != 0 || a.GetNamedPort() != "" {
		l.Addf(at+".port_value", "a fixed source port is not supported, 0 is")
	}
	if a.GetNetworkNamespaceFilepath() != "" {
		l.Addf(at+".network_namespace_filepath", "goes with a listener's address only")
	}
	return ip
}
