package scale

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// plane is a control plane: go-control-plane's server over one linear cache a type, which answers a change of one resource with
// that one by delta, and with all (clusters, listeners) or that one (endpoints, routes) by state of the world.
type plane struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	addr   *net.TCPAddr
	caches map[string]*cache.LinearCache
	sotw   sotw.Server
	delta  delta.Server
}

var served = []string{resource.ClusterType, resource.EndpointType, resource.ListenerType, resource.RouteType, resource.SecretType}

func newPlane(t *testing.T) *plane {
	p := &plane{caches: map[string]*cache.LinearCache{}}
	mux := &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        map[string]cache.Cache{},
	}
	for _, u := range served {
		p.caches[u] = cache.NewLinearCache(u)
		mux.Caches[u] = p.caches[u]
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.sotw = sotw.NewServer(ctx, mux, nil, sotw.WithOrderedADS())
	p.delta = delta.NewServer(ctx, mux, nil)
	g := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, p)
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().(*net.TCPAddr)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { cancel(); g.Stop(); wg.Wait() })
	return p
}

// StreamAggregatedResources is the state of the world.
func (p *plane) StreamAggregatedResources(s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return p.sotw.StreamHandler(s, resource.AnyType)
}

// DeltaAggregatedResources is the incremental one.
func (p *plane) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return p.delta.DeltaStreamHandler(s, resource.AnyType)
}

// push changes resources of one type and tells how long the control plane itself took.
func (p *plane) push(t *testing.T, url string, ms ...proto.Message) time.Duration {
	t.Helper()
	set := make(map[string]types.Resource, len(ms))
	for _, m := range ms {
		set[cache.GetResourceName(m)] = m
	}
	at := time.Now()
	if err := p.caches[url].UpdateResources(set, nil); err != nil {
		t.Fatal(err)
	}
	return time.Since(at)
}

// pushAll changes everything of a world, in the order of make before break.
func (p *plane) pushAll(t *testing.T, w *world) {
	t.Helper()
	p.push(t, resource.ClusterType, w.clusters()...)
	p.push(t, resource.EndpointType, w.assignments()...)
	p.push(t, resource.RouteType, w.tables()...)
	p.push(t, resource.ListenerType, w.listeners()...)
}
