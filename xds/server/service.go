package server

import (
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	extensionservice "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	runtimeservice "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"google.golang.org/grpc"
)

// handlers are the two protocol variants. They are go-control-plane's; its pkg/server, which joins them, also links the rate limit
// service.
type handlers struct {
	sotw  sotw.Server
	delta delta.Server
}

// register offers the aggregated service and those of single types.
func register(g *grpc.Server, h handlers) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, ads{handlers: h})
	clusterservice.RegisterClusterDiscoveryServiceServer(g, clusters{handlers: h})
	endpointservice.RegisterEndpointDiscoveryServiceServer(g, endpoints{handlers: h})
	listenerservice.RegisterListenerDiscoveryServiceServer(g, listeners{handlers: h})
	routeservice.RegisterRouteDiscoveryServiceServer(g, routes{handlers: h})
	secretservice.RegisterSecretDiscoveryServiceServer(g, secrets{handlers: h})
	routeservice.RegisterScopedRoutesDiscoveryServiceServer(g, scopes{handlers: h})
	runtimeservice.RegisterRuntimeDiscoveryServiceServer(g, runtimes{handlers: h})
	extensionservice.RegisterExtensionConfigDiscoveryServiceServer(g, extensions{handlers: h})
}

type (
	ads struct {
		discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
		handlers
	}
	clusters struct {
		clusterservice.UnimplementedClusterDiscoveryServiceServer
		handlers
	}
	endpoints struct {
		endpointservice.UnimplementedEndpointDiscoveryServiceServer
		handlers
	}
	listeners struct {
		listenerservice.UnimplementedListenerDiscoveryServiceServer
		handlers
	}
	routes struct {
		routeservice.UnimplementedRouteDiscoveryServiceServer
		handlers
	}
	secrets struct {
		secretservice.UnimplementedSecretDiscoveryServiceServer
		handlers
	}
	scopes struct {
		routeservice.UnimplementedScopedRoutesDiscoveryServiceServer
		handlers
	}
	runtimes struct {
		runtimeservice.UnimplementedRuntimeDiscoveryServiceServer
		handlers
	}
	extensions struct {
		extensionservice.UnimplementedExtensionConfigDiscoveryServiceServer
		handlers
	}
)

func (s ads) StreamAggregatedResources(g discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.sotw.StreamHandler(g, resource.AnyType)
}

func (s ads) DeltaAggregatedResources(g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.delta.DeltaStreamHandler(g, resource.AnyType)
}

func (s clusters) StreamClusters(g clusterservice.ClusterDiscoveryService_StreamClustersServer) error {
	return s.sotw.StreamHandler(g, resource.ClusterType)
}

func (s clusters) DeltaClusters(g clusterservice.ClusterDiscoveryService_DeltaClustersServer) error {
	return s.delta.DeltaStreamHandler(g, resource.ClusterType)
}

func (s endpoints) StreamEndpoints(g endpointservice.EndpointDiscoveryService_StreamEndpointsServer) error {
	return s.sotw.StreamHandler(g, resource.EndpointType)
}

func (s endpoints) DeltaEndpoints(g endpointservice.EndpointDiscoveryService_DeltaEndpointsServer) error {
	return s.delta.DeltaStreamHandler(g, resource.EndpointType)
}

func (s listeners) StreamListeners(g listenerservice.ListenerDiscoveryService_StreamListenersServer) error {
	return s.sotw.StreamHandler(g, resource.ListenerType)
}

func (s listeners) DeltaListeners(g listenerservice.ListenerDiscoveryService_DeltaListenersServer) error {
	return s.delta.DeltaStreamHandler(g, resource.ListenerType)
}

func (s routes) StreamRoutes(g routeservice.RouteDiscoveryService_StreamRoutesServer) error {
	return s.sotw.StreamHandler(g, resource.RouteType)
}

func (s routes) DeltaRoutes(g routeservice.RouteDiscoveryService_DeltaRoutesServer) error {
	return s.delta.DeltaStreamHandler(g, resource.RouteType)
}

func (s secrets) StreamSecrets(g secretservice.SecretDiscoveryService_StreamSecretsServer) error {
	return s.sotw.StreamHandler(g, resource.SecretType)
}

func (s secrets) DeltaSecrets(g secretservice.SecretDiscoveryService_DeltaSecretsServer) error {
	return s.delta.DeltaStreamHandler(g, resource.SecretType)
}

func (s scopes) StreamScopedRoutes(g routeservice.ScopedRoutesDiscoveryService_StreamScopedRoutesServer) error {
	return s.sotw.StreamHandler(g, resource.ScopedRouteType)
}

func (s scopes) DeltaScopedRoutes(g routeservice.ScopedRoutesDiscoveryService_DeltaScopedRoutesServer) error {
	return s.delta.DeltaStreamHandler(g, resource.ScopedRouteType)
}

func (s runtimes) StreamRuntime(g runtimeservice.RuntimeDiscoveryService_StreamRuntimeServer) error {
	return s.sotw.StreamHandler(g, resource.RuntimeType)
}

func (s runtimes) DeltaRuntime(g runtimeservice.RuntimeDiscoveryService_DeltaRuntimeServer) error {
	return s.delta.DeltaStreamHandler(g, resource.RuntimeType)
}

func (s extensions) StreamExtensionConfigs(g extensionservice.ExtensionConfigDiscoveryService_StreamExtensionConfigsServer) error {
	return s.sotw.StreamHandler(g, resource.ExtensionConfigType)
}

func (s extensions) DeltaExtensionConfigs(g extensionservice.ExtensionConfigDiscoveryService_DeltaExtensionConfigsServer) error {
	return s.delta.DeltaStreamHandler(g, resource.ExtensionConfigType)
}
