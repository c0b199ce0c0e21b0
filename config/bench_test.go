package config_test

import (
	"fmt"
	"os"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/support"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// BenchmarkDecode decodes one of each of the resources that a gateway has thousands of.
func BenchmarkDecode(b *testing.B) {
	text, err := os.ReadFile("testdata/gateway.yaml")
	if err != nil {
		b.Fatal(err)
	}
	d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	for _, a := range resources(b, string(text)) {
		t, _ := config.TypeOf(a.GetTypeUrl())
		b.Run(fmt.Sprintf("%s/%dB", t.Short, len(a.GetValue())), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(a.GetTypeUrl(), a, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("eds/1000 endpoints", func(b *testing.B) {
		a := manyEndpoints(b, 1000)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Decode(a.GetTypeUrl(), a, false); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func manyEndpoints(tb testing.TB, n int) *anypb.Any {
	tb.Helper()
	anys := resources(tb, `{"@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}]}`)
	m := &endpointv3.ClusterLoadAssignment{}
	if err := anys[0].UnmarshalTo(m); err != nil {
		tb.Fatal(err)
	}
	e := m.Endpoints[0].LbEndpoints[0]
	for range n - 1 {
		m.Endpoints[0].LbEndpoints = append(m.Endpoints[0].LbEndpoints, proto.Clone(e).(*endpointv3.LbEndpoint))
	}
	return packed(tb, m)
}
