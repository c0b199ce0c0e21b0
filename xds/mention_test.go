package xds

import (
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"github.com/weirproxy/weir/config"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func raw(t *testing.T, m proto.Message) *config.Resource {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return &config.Resource{Raw: a}
}

func TestMentions(t *testing.T) {
	long := strings.Repeat("outbound|8080||reviews.default.svc.cluster.local|", 4)
	tcp, err := anypb.New(&tcpv3.TcpProxy{StatPrefix: "x", ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: "tcp-backend"}})
	if err != nil {
		t.Fatal(err)
	}
	weighted := func(names ...string) *routev3.RouteConfiguration {
		w := &routev3.WeightedCluster{}
		for _, n := range names {
			w.Clusters = append(w.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: n})
		}
		return &routev3.RouteConfiguration{Name: "r", VirtualHosts: []*routev3.VirtualHost{{
			Name: "v", Domains: []string{"*"}, Routes: []*routev3.Route{{Action: &routev3.Route_Route{
				Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: w}},
			}}},
		}}}
	}
	for name, tc := range map[string]struct {
		m     proto.Message
		names []string
		want  []string
	}{
		"weighted clusters": {weighted("v1", "v2"), []string{"v1", "v2", "v3"}, []string{"v1", "v2"}},
		"a filter inside an Any": {&listenerv3.Listener{Name: "in", FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "tcp", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: tcp},
		}}}}}, []string{"tcp-backend", "other"}, []string{"tcp-backend"}},
		"a longer name is another": {weighted("v1-canary"), []string{"v1", "canary"}, nil},
		"long names":               {weighted(long), []string{long, long + "x"}, []string{long}},
		"at the limit":             {weighted(long[:127], long[:128]), []string{long[:127], long[:128], long[:126]}, []string{long[:127], long[:128]}},
		"nothing":                  {weighted(), []string{"v1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newNameSet()
			for _, n := range tc.names {
				s.add(n)
			}
			var got []string
			s.each(raw(t, tc.m), func(n string) bool {
				if !slices.Contains(got, n) {
					got = append(got, n)
				}
				return true
			})
			slices.Sort(got)
			slices.Sort(tc.want)
			if !slices.Equal(got, tc.want) {
				t.Errorf("found %q, want %q", got, tc.want)
			}
			if f := s.first(raw(t, tc.m)); (f == "") != (len(tc.want) == 0) {
				t.Errorf("first is %q", f)
			}
		})
	}
}

func TestNameIsReadWithoutDecoding(t *testing.T) {
	for _, m := range []proto.Message{
		&clusterv3.Cluster{Name: "n", AltStatName: "x"},
		&endpointv3.ClusterLoadAssignment{ClusterName: "n", Endpoints: []*endpointv3.LocalityLbEndpoints{{Priority: 1}}},
		&listenerv3.Listener{Name: "n", StatPrefix: "x"},
		&routev3.RouteConfiguration{Name: "n", InternalOnlyHeaders: []string{"x"}},
	} {
		if n, err := nameOf(raw(t, m).Raw.Value); string(n) != "n" || err != nil {
			t.Errorf("%T: %q, %v", m, n, err)
		}
	}
	for what, b := range map[string][]byte{
		"empty": nil, "no name": {0x10, 1}, "cut": {0x0a, 5, 'a'}, "bad tag": {0xff}, "bad field": {0x12, 0x80},
	} {
		if n, err := nameOf(b); err == nil {
			t.Errorf("%s: name %q", what, n)
		}
	}
}
