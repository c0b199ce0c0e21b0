package discovery

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// lazy is a control plane that has more than it tells: it speaks the incremental protocol, sends what is eager to who asks for all, and
// the rest to who asks by name.
type lazy struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	w    *world
	addr string

	mu     sync.Mutex
	all    []*discoveryv3.Resource // guarded by mu, like all below
	eager  map[string]bool         // by name
	asked  map[string]int          // names → how often
	silent map[string]bool         // names that are never answered
}

func newLazy(w *world) *lazy {
	p := &lazy{w: w, eager: map[string]bool{}, asked: map[string]int{}, silent: map[string]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	p.addr = l.Addr().String()
	s := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s, p)
	w.background(func(ctx context.Context) {
		go func() { <-ctx.Done(); s.Stop() }()
		_ = s.Serve(l)
	})
	return p
}

// add has one more resource, under a name and others.
func (p *lazy) add(eager bool, m proto.Message, name string, aliases ...string) {
	p.w.t.Helper()
	a, err := anypb.New(m)
	p.w.must(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, &discoveryv3.Resource{Name: name, Aliases: aliases, Version: "1", Resource: a})
	p.eager[name] = eager
}

func (p *lazy) times(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[name]
}

// DeltaAggregatedResources implements the service.
func (p *lazy) DeltaAggregatedResources(st discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	began, nonce := map[string]bool{}, 0
	for {
		r, err := st.Recv()
		if err != nil {
			return err
		}
		first := !began[r.GetTypeUrl()]
		began[r.GetTypeUrl()] = true
		out := p.answer(r, first)
		if out == nil {
			continue
		}
		nonce++
		out.TypeUrl, out.Nonce = r.GetTypeUrl(), strconv.Itoa(nonce)
		if err := st.Send(out); err != nil {
			return err
		}
	}
}

func (p *lazy) answer(r *discoveryv3.DeltaDiscoveryRequest, first bool) *discoveryv3.DeltaDiscoveryResponse {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &discoveryv3.DeltaDiscoveryResponse{}
	if first && (len(r.GetResourceNamesSubscribe()) == 0 || slices.Contains(r.GetResourceNamesSubscribe(), "*")) {
		for _, x := range p.all {
			if x.Resource.TypeUrl == r.GetTypeUrl() && p.eager[x.Name] {
				out.Resources = append(out.Resources, x)
			}
		}
	} else if len(r.GetResourceNamesSubscribe()) == 0 {
		return nil
	}
	for _, name := range r.GetResourceNamesSubscribe() {
		if name == "*" {
			continue
		}
		p.asked[name]++
		if p.silent[name] {
			continue
		}
		i := slices.IndexFunc(p.all, func(x *discoveryv3.Resource) bool {
			return x.Resource.TypeUrl == r.GetTypeUrl() && (x.Name == name || slices.Contains(x.Aliases, name))
		})
		if i < 0 {
			out.RemovedResources = append(out.RemovedResources, name)
			continue
		}
		out.Resources = append(out.Resources, p.all[i])
	}
	return out
}
