package admin

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream"
)

func (d *dump) clusters() *adminv3.ClustersConfigDump {
	m := &adminv3.ClustersConfigDump{VersionInfo: d.types["cds"].Version}
	d.resources("cds", d.snap.Clusters, func(e entry) {
		if e.static() {
			m.StaticClusters = append(m.StaticClusters, &adminv3.ClustersConfigDump_StaticCluster{
				Cluster: raw(e.live, config.ClusterURL), LastUpdated: d.started,
			})
			return
		}
		if e.live != nil {
			m.DynamicActiveClusters = append(m.DynamicActiveClusters, &adminv3.ClustersConfigDump_DynamicCluster{
				VersionInfo: e.live.Version, Cluster: raw(e.live, config.ClusterURL), ErrorState: e.failure(),
				LastUpdated: e.updated(), ClientStatus: e.clientStatus(),
			})
		}
		if e.waits() || e.live == nil && e.status.Error != nil {
			w := &adminv3.ClustersConfigDump_DynamicCluster{
				VersionInfo: e.status.Next, Cluster: named(&clusterv3.Cluster{}, e.name), ClientStatus: e.clientStatus(),
			}
			if e.live == nil {
				w.ErrorState = e.failure()
			}
			m.DynamicWarmingClusters = append(m.DynamicWarmingClusters, w)
		}
	})
	return m
}

func (d *dump) listeners() *adminv3.ListenersConfigDump {
	m := &adminv3.ListenersConfigDump{VersionInfo: d.types["lds"].Version}
	d.resources("lds", d.snap.Listeners, func(e entry) {
		if e.static() {
			m.StaticListeners = append(m.StaticListeners, &adminv3.ListenersConfigDump_StaticListener{
				Listener: raw(e.live, config.ListenerURL), LastUpdated: d.started,
			})
			return
		}
		l := &adminv3.ListenersConfigDump_DynamicListener{Name: e.name, ErrorState: e.failure(), ClientStatus: e.clientStatus()}
		if e.live != nil {
			l.ActiveState = &adminv3.ListenersConfigDump_DynamicListenerState{
				VersionInfo: e.live.Version, Listener: raw(e.live, config.ListenerURL), LastUpdated: e.updated(),
			}
		}
		if e.waits() {
			l.WarmingState = &adminv3.ListenersConfigDump_DynamicListenerState{
				VersionInfo: e.status.Next, Listener: named(&listenerv3.Listener{}, e.name),
			}
		}
		if l.ActiveState != nil || l.WarmingState != nil || l.ErrorState != nil {
			m.DynamicListeners = append(m.DynamicListeners, l)
		}
	})
	return m
}

func (d *dump) routes() *adminv3.RoutesConfigDump {
	m := &adminv3.RoutesConfigDump{}
	for _, r := range sorted(d.snap.Listeners) {
		for _, rc := range inlineRoutes(r) {
			if a, err := anypb.New(rc); err == nil && d.keep.MatchString(rc.GetName()) {
				s := &adminv3.RoutesConfigDump_StaticRouteConfig{RouteConfig: a}
				if r.Static {
					s.LastUpdated = d.started
				}
				m.StaticRouteConfigs = append(m.StaticRouteConfigs, s)
			}
		}
	}
	d.resources("rds", d.snap.Routes, func(e entry) {
		if e.live == nil && e.status.Error == nil && !e.waits() {
			return
		}
		r := &adminv3.RoutesConfigDump_DynamicRouteConfig{ErrorState: e.failure(), LastUpdated: e.updated(), ClientStatus: e.clientStatus()}
		if e.live != nil {
			r.VersionInfo, r.RouteConfig = e.live.Version, raw(e.live, config.RouteURL)
		} else {
			r.VersionInfo, r.RouteConfig = e.status.Next, named(&routev3.RouteConfiguration{}, e.name)
		}
		m.DynamicRouteConfigs = append(m.DynamicRouteConfigs, r)
	})
	return m
}

// inlineRoutes are the route configurations inside a listener's connection
// managers.
func inlineRoutes(r *config.Resource) (out []*routev3.RouteConfiguration) {
	l := listenerOf(r)
	for _, c := range append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain()) {
		for _, f := range c.GetFilters() {
			h := &hcmv3.HttpConnectionManager{}
			if f.GetTypedConfig().MessageIs(h) && f.GetTypedConfig().UnmarshalTo(h) == nil && h.GetRouteConfig() != nil {
				out = append(out, h.GetRouteConfig())
			}
		}
	}
	return out
}

// listenerOf is a listener as it was received; empty when it cannot be read.
func listenerOf(r *config.Resource) *listenerv3.Listener {
	l := &listenerv3.Listener{}
	if a := raw(r, config.ListenerURL); a != nil && a.UnmarshalTo(l) != nil {
		return &listenerv3.Listener{}
	}
	return l
}

// endpoints are the live hosts of every cluster, as Envoy makes them: static for
// static clusters, however their hosts were found.
func (d *dump) endpoints() *adminv3.EndpointsConfigDump {
	m := &adminv3.EndpointsConfigDump{}
	for _, c := range d.s.o.Proxy.Clusters().Clusters() {
		if !d.keep.MatchString(c.Name()) {
			continue
		}
		a, err := anypb.New(assignment(c))
		if err != nil {
			continue
		}
		if r := d.snap.Clusters[c.Name()]; r != nil && r.Static {
			m.StaticEndpointConfigs = append(m.StaticEndpointConfigs, &adminv3.EndpointsConfigDump_StaticEndpointConfig{EndpointConfig: a})
			continue
		}
		e := &adminv3.EndpointsConfigDump_DynamicEndpointConfig{EndpointConfig: a}
		if c.Config().Type == cluster.EDS {
			if r := d.snap.Endpoints[cmp.Or(c.Config().EDSKey, c.Config().EDSName)]; r != nil {
				e.VersionInfo = r.Version
			}
		}
		m.DynamicEndpointConfigs = append(m.DynamicEndpointConfigs, e)
	}
	return m
}

// assignment is what a cluster's hosts would be as a resource.
func assignment(c *upstream.Cluster) *endpointv3.ClusterLoadAssignment {
	m := &endpointv3.ClusterLoadAssignment{
		ClusterName: c.Name(),
		Policy:      &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(140)},
	}
	if cfg := c.Config(); cfg.Type == cluster.EDS {
		m.ClusterName = cfg.EDSName
	}
	type place struct {
		region, zone, sub string
		priority          uint32
	}
	groups := map[place]*endpointv3.LocalityLbEndpoints{}
	for _, h := range c.Hosts() {
		k := place{h.Region, h.Zone, h.Sub, h.Priority}
		g := groups[k]
		if g == nil {
			g = &endpointv3.LocalityLbEndpoints{
				Locality: &corev3.Locality{Region: h.Region, Zone: h.Zone, SubZone: h.Sub}, Priority: h.Priority,
			}
			groups[k] = g
			m.Endpoints = append(m.Endpoints, g)
		}
		st := hostStatus(&h)
		g.LbEndpoints = append(g.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: st.GetAddress(), Hostname: h.Hostname, HealthCheckConfig: &endpointv3.Endpoint_HealthCheckConfig{},
			}},
			HealthStatus: coarse(&h), LoadBalancingWeight: wrapperspb.UInt32(h.Weight),
		})
	}
	return m
}

// coarse is a host's health in the three words of Envoy's endpoint dump.
func coarse(h *upstream.HostInfo) corev3.HealthStatus {
	switch {
	case h.Ejected || h.Health == cluster.Unhealthy || h.Health == cluster.Draining || h.Health == cluster.Timeout:
		return corev3.HealthStatus_UNHEALTHY
	case h.Health == cluster.Degraded:
		return corev3.HealthStatus_DEGRADED
	}
	return corev3.HealthStatus_HEALTHY
}

func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// stamp is a time to the millisecond, as Envoy prints one.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Truncate(time.Millisecond))
}
