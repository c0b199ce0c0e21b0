package scale

import (
	"fmt"
	"slices"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
)

// endpoints measures one cluster of n endpoints: all traffic goes to the one of the first priority, which is what changes.
func (b *bench) endpoints(t *testing.T, n int) {
	b.start(t, 2, "sotw", prefixes)
	few := b.w.assignment(b.w.name(b.w.last()), b.w.origins[0])
	crowd := &endpointv3.LocalityLbEndpoints{Priority: 1}
	for i := range n {
		crowd.LbEndpoints = append(crowd.LbEndpoints, host(fmt.Sprintf("127.%d.%d.%d", 1+i>>16, i>>8&255, i&255), 9))
	}
	before, at := b.p.memory("VmRSS"), b.w.target(b.w.last())
	for _, x := range []struct {
		name  string
		crowd []*endpointv3.LocalityLbEndpoints
	}{{"1 endpoint: it changed", nil}, {fmt.Sprintf("%d endpoints: one changed", n), []*endpointv3.LocalityLbEndpoints{crowd}}} {
		b.profile(t, x.name, 3)
		var took, encoded []time.Duration
		cpu := b.p.cpu()
		for i := range 2 * *rounds {
			a := &endpointv3.ClusterLoadAssignment{ClusterName: few.ClusterName, Endpoints: append([]*endpointv3.LocalityLbEndpoints{{
				LbEndpoints: []*endpointv3.LbEndpoint{host("127.0.0.1", b.w.origins[(i+1)%2])},
			}}, x.crowd...)}
			start := time.Now()
			if _, err := proto.Marshal(a); err != nil {
				t.Fatal(err)
			}
			encoded = append(encoded, time.Since(start))
			start = time.Now()
			b.plane.push(t, resource.EndpointType, a)
			d := b.c.until(t, b.p, start, at, []string{"two", "one"}[i%2], limit)
			if i > 1 || *rounds == 1 {
				took = append(took, d)
			} else if i == 1 {
				cpu = b.p.cpu()
			}
		}
		slices.Sort(took)
		b.f.ms(x.name, took[len(took)/2])
		slices.Sort(encoded)
		b.f.ms("  the control plane's encoding", encoded[len(encoded)/2])
		b.f.ms("  CPU of it", (b.p.cpu()-cpu)/time.Duration(len(took)))
	}
	b.f.add("RSS of them", "MiB", b.p.memory("VmRSS")-before)
}
