package lb

import (
	"strings"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterprovided "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/cluster_provided/v3"
	common "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	leastrequest "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	maglevpb "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	random "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	ringhash "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	roundrobin "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/config/extension"
)

// parse finds the policy by the message's type and parses it.
func parse(t *testing.T, m proto.Message) (extension.Parsed, error) {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	r := extension.NewRegistry(Policies())
	return extension.NewContext(r, "test").Parse(extension.LBPolicy, "lb", a)
}

func TestParse(t *testing.T) {
	weighted := &common.LocalityLbConfig{LocalityConfigSpecifier: &common.LocalityLbConfig_LocalityWeightedLbConfig_{
		LocalityWeightedLbConfig: &common.LocalityLbConfig_LocalityWeightedLbConfig{},
	}}
	for _, tc := range []struct {
		in   proto.Message
		name string
		want any
		err  string
	}{
		{in: &roundrobin.RoundRobin{}, name: "round_robin", want: RoundRobin{}},
		{in: &roundrobin.RoundRobin{LocalityLbConfig: weighted}, name: "round_robin", want: RoundRobin{Locality{true}}},
		{in: &random.Random{}, name: "random", want: Random{}},
		{in: &clusterprovided.ClusterProvided{}, name: "cluster_provided"},
		{in: &leastrequest.LeastRequest{}, name: "least_request", want: LeastRequest{Choices: 2, Bias: 1}},
		{
			in: &leastrequest.LeastRequest{
				ChoiceCount: wrapperspb.UInt32(5), LocalityLbConfig: weighted,
				ActiveRequestBias: &corepb.RuntimeDouble{DefaultValue: 0.5, RuntimeKey: "k"},
				SelectionMethod:   leastrequest.LeastRequest_FULL_SCAN,
			},
			name: "least_request", want: LeastRequest{Locality: Locality{true}, Choices: 5, Bias: 0.5, FullScan: true},
		},
		{in: &leastrequest.LeastRequest{ChoiceCount: wrapperspb.UInt32(1)}, err: "ChoiceCount"},
		{in: &leastrequest.LeastRequest{ActiveRequestBias: &corepb.RuntimeDouble{DefaultValue: -1, RuntimeKey: "k"}}, err: "active_request_bias: -1"},
		{in: &ringhash.RingHash{}, name: "ring_hash", want: RingHash{Min: 1024, Max: 8 << 20}},
		{
			in: &ringhash.RingHash{
				HashFunction: ringhash.RingHash_MURMUR_HASH_2, MinimumRingSize: wrapperspb.UInt64(10), MaximumRingSize: wrapperspb.UInt64(20),
				ConsistentHashingLbConfig: &common.ConsistentHashingLbConfig{UseHostnameForHashing: true, HashBalanceFactor: wrapperspb.UInt32(150)},
				LocalityWeightedLbConfig:  &common.LocalityLbConfig_LocalityWeightedLbConfig{},
			},
			name: "ring_hash", want: RingHash{Locality{true}, true, 10, 20, true, 150},
		},
		{in: &ringhash.RingHash{MinimumRingSize: wrapperspb.UInt64(20), MaximumRingSize: wrapperspb.UInt64(10)}, err: "minimum_ring_size: 20 is above"},
		{in: &ringhash.RingHash{MinimumRingSize: wrapperspb.UInt64(0)}, err: "MinimumRingSize"},
		{in: &maglevpb.Maglev{}, name: "maglev", want: Maglev{TableSize: 65537}},
		{in: &maglevpb.Maglev{TableSize: wrapperspb.UInt64(100)}, err: "table_size: 100 is not a prime"},
		{in: &maglevpb.Maglev{TableSize: wrapperspb.UInt64(2)}, name: "maglev", want: Maglev{TableSize: 2}},
	} {
		got, err := parse(t, tc.in)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%v: error %v, want %q", tc.in, err, tc.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", tc.in, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got.Config); diff != "" || got.Factory.Name != "envoy.load_balancing_policies."+tc.name {
			t.Errorf("%v: %s\n%s", tc.in, got.Factory.Name, diff)
		}
		b := got.Factory.Build.(Builder)
		if i := b.New(got.Config, some(1, 2, 3), 1).Pick(Pick{Rand: 5, Hash: 5}); i < 0 || i > 2 {
			t.Errorf("%v: picked %d of 3", tc.in, i)
		}
	}
}

// Whatever a configuration says, parsing it is an error or gives a policy that
// picks a member.
func FuzzParse(f *testing.F) {
	for i, m := range []proto.Message{
		&roundrobin.RoundRobin{}, &leastrequest.LeastRequest{ChoiceCount: wrapperspb.UInt32(3)}, &random.Random{},
		&ringhash.RingHash{MinimumRingSize: wrapperspb.UInt64(7)}, &maglevpb.Maglev{TableSize: wrapperspb.UInt64(251)},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	all := Policies()
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		p := all[int(which)%len(all)]
		cfg, err := p.Parse(&anypb.Any{TypeUrl: p.TypeURL, Value: b}, nil)
		if err != nil {
			return
		}
		if r, ok := cfg.(RingHash); ok && r.Min > 1<<16 {
			return // legal, and slow
		}
		if m, ok := cfg.(Maglev); ok && m.TableSize > 1<<16 {
			return
		}
		if i := p.Build.(Builder).New(cfg, some(3, 1), 1).Pick(Pick{Rand: 9, Hash: 9}); i < 0 || i > 1 {
			t.Errorf("picked %d of 2", i)
		}
	})
}
