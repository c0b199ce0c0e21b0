package fielderr_test

import (
	"errors"
	"fmt"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/fielderr"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddKeepsEveryErrorWithItsPath(t *testing.T) {
	sentinel := errors.New("denominator unset")
	var inner fielderr.List
	inner.Addf("stat_prefix", "unset")
	inner.Add("http_filters[1]", fmt.Errorf("typed_config (envoy.filters.http.fault): %w",
		&fielderr.Error{Path: "abort.percentage", Err: sentinel}))
	var l fielderr.List
	l.Add("filter_chains[2].filters[0]", fmt.Errorf("typed_config (hcm): %w", inner.Err()))
	l.Add("address", errors.Join(errors.New("one"), errors.New("two")))
	l.Add("x", fmt.Errorf("read %w", errors.New("file")))
	l.Add("y", fmt.Errorf("route 3: %w", &fielderr.Error{Path: "match", Err: errors.New("empty")}))
	l.Add("[4]", nil)
	want := `filter_chains[2].filters[0].typed_config.stat_prefix: unset
filter_chains[2].filters[0].typed_config.http_filters[1].typed_config.abort.percentage: denominator unset
address: one
address: two
x: read file
y.match: route 3: empty`
	if diff := cmp.Diff(want, l.Err().Error()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !errors.Is(l.Err(), sentinel) {
		t.Error("errors.Is does not find the cause")
	}
	var empty fielderr.List
	if err := empty.Err(); err != nil {
		t.Errorf("empty list: %v", err)
	}
}

func TestValidateUsesProtoNames(t *testing.T) {
	for _, c := range []struct {
		name string
		m    proto.Message
		want string
	}{
		{"nested list", &listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{{}, {
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(0), SourcePorts: []uint32{1, 70000}},
		}}}, "filter_chains[1].filter_chain_match.destination_port: value must be inside range [1, 65535]\n" +
			"filter_chains[1].filter_chain_match.source_ports[1]: value must be inside range [1, 65535]"},
		{
			"digits", &clusterv3.OutlierDetection{EnforcingConsecutive_5Xx: wrapperspb.UInt32(101)},
			"enforcing_consecutive_5xx: value must be less than or equal to 100",
		},
		{"oneof", &corev3.Address{}, "address: value is required"},
		{"message", &endpointv3.ClusterLoadAssignment{Policy: &endpointv3.ClusterLoadAssignment_Policy{
			OverprovisioningFactor: wrapperspb.UInt32(0),
		}, ClusterName: "c"}, "policy.overprovisioning_factor: value must be greater than 0"},
		{"fine", &clusterv3.Cluster{Name: "c"}, ""},
		{"no constraints", wrapperspb.Bool(true), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := fielderr.Validate(c.m); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
