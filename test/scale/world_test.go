package scale

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A shape is how the routes lie.
type shape string

const (
	prefixes shape = "prefix" // one virtual host with a prefix route for every cluster
	hosts    shape = "hosts"  // a virtual host for every cluster
	split    shape = "split"  // as prefix, in ten route configurations of ten listeners
)

// A world is n clusters, n assignments and n routes, in one of the versions that the bench pushes. Cluster i is reached by route i;
// everything answers "one" until it is changed.
type world struct {
	n       int
	shape   shape
	origins [2]int // ports of those that answer "one" and "two"
	ports   []int  // of the listeners
	file    string // folder of the files of listeners, routes, and clusters with their endpoints; "" is ADS
	moves   []func()

	// Versions. Zero values are the first one.
	route    bool // the last route goes to the cluster "two"
	endpoint bool // the last assignment has the other origin
	cluster  bool // the cluster before the last, which is STATIC, has the other origin
	all      int  // counts full pushes: a field of everything changes
}

func (w *world) name(i int) string { return fmt.Sprintf("service-%05d", i) }

// last is the cluster that the endpoint change is made to, fixed the one that the cluster change is made to.
func (w *world) last() int  { return w.n - 1 }
func (w *world) fixed() int { return max(w.n-2, 0) }

func (w *world) source() *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}

// clusters gives every cluster. In files they are STATIC: every EDS cluster would read the whole file of endpoints.
func (w *world) clusters() []proto.Message {
	out := make([]proto.Message, 0, w.n+1)
	for i := range w.n {
		out = append(out, w.one(i))
	}
	two := w.plain("two")
	two.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	two.LoadAssignment = w.assignment("two", w.origins[1])
	return append(out, two)
}

func (w *world) one(i int) *clusterv3.Cluster {
	c := w.plain(w.name(i))
	port := w.origins[0]
	if i == w.fixed() && w.cluster || i == w.last() && w.endpoint {
		port = w.origins[1]
	}
	switch {
	case i == w.fixed(), w.file != "":
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		c.LoadAssignment = w.assignment(c.Name, port)
	default:
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: w.source()}
	}
	return c
}

func (w *world) plain(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{Name: name, ConnectTimeout: durationpb.New(time.Second + time.Duration(w.all)*time.Millisecond)}
}

// assignments gives those of all EDS clusters.
func (w *world) assignments() (out []proto.Message) {
	for i := range w.n {
		if i == w.fixed() {
			continue
		}
		port := w.origins[0]
		if i == w.last() && w.endpoint {
			port = w.origins[1]
		}
		out = append(out, w.assignment(w.name(i), port))
	}
	return out
}

func (w *world) assignment(name string, port int) *endpointv3.ClusterLoadAssignment {
	e := host("127.0.0.1", port)
	e.LoadBalancingWeight = wrapperspb.UInt32(uint32(1 + w.all))
	return &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{e}}}}
}

func host(addr string, port int) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(addr, port)}}}
}

func address(addr string, port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: addr, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

// tables gives the route configurations, one for each listener.
func (w *world) tables() (out []proto.Message) {
	per := (w.n + len(w.ports) - 1) / len(w.ports)
	for k := range w.ports {
		t := &routev3.RouteConfiguration{Name: fmt.Sprint("routes-", k)}
		all := &routev3.VirtualHost{Name: "all", Domains: []string{"*"}}
		for i := k * per; i < min((k+1)*per, w.n); i++ {
			to := w.name(i)
			if i == w.last() && w.route {
				to = "two"
			}
			if w.shape == hosts {
				t.VirtualHosts = append(t.VirtualHosts, &routev3.VirtualHost{
					Name: w.name(i), Domains: []string{w.name(i) + ".test"}, Routes: []*routev3.Route{w.leads("/", to)},
				})
				continue
			}
			all.Routes = append(all.Routes, w.leads("/"+w.name(i)+"/", to))
		}
		if len(all.Routes) > 0 {
			t.VirtualHosts = append(t.VirtualHosts, all)
		}
		out = append(out, t)
	}
	return out
}

func (w *world) leads(prefix, to string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: to},
			Timeout:          durationpb.New(15*time.Second + time.Duration(w.all)*time.Millisecond),
		}},
	}
}

func (w *world) listeners() (out []proto.Message) {
	for k := range w.ports {
		out = append(out, w.listener(k))
	}
	return out
}

func (w *world) listener(k int) *listenerv3.Listener {
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix: "in", GenerateRequestId: wrapperspb.Bool(false),
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: fmt.Sprint("routes-", k), ConfigSource: w.source()}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       "envoy.filters.http.router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(&routerv3.Router{})},
		}},
	}
	if w.file != "" {
		hcm.GetRds().ConfigSource = &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
			PathConfigSource: &corev3.PathConfigSource{Path: w.file + "/rds.json"},
		}}
	}
	return &listenerv3.Listener{
		Name: fmt.Sprint("in-", k), Address: address("127.0.0.1", w.ports[k]),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(hcm)},
		}}}},
	}
}

func packed(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err) // the bench's own messages
	}
	return a
}

// target is where route i is asked.
type target struct {
	port       int
	host, path string
}

func (w *world) target(i int) target {
	per := (w.n + len(w.ports) - 1) / len(w.ports)
	t := target{w.ports[i/per], "any.test", "/" + w.name(i) + "/"}
	if w.shape == hosts {
		t.host, t.path = w.name(i)+".test", "/"
	}
	return t
}
