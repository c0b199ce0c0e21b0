package lb

import (
	"fmt"
	"math"

	clusterprovided "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/cluster_provided/v3"
	common "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	leastrequest "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	random "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	roundrobin "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/extension"
)

// factory makes a table row; the type URL comes from the message's Go type.
func factory[M proto.Message](name string, parse func(M, *extension.Context) (any, error), b Builder) *extension.Factory {
	var zero M
	return &extension.Factory{
		Kind:    extension.LBPolicy,
		Name:    name,
		TypeURL: "type.googleapis.com/" + string(zero.ProtoReflect().Descriptor().FullName()),
		Build:   b,
		Parse: func(a *anypb.Any, ctx *extension.Context) (any, error) {
			m := zero.ProtoReflect().New().Interface().(M)
			if err := a.UnmarshalTo(m); err != nil {
				return nil, fmt.Errorf("unmarshal %s: %w", a.TypeUrl, err)
			}
			if v, ok := any(m).(interface{ ValidateAll() error }); ok {
				if err := v.ValidateAll(); err != nil {
					return nil, err
				}
			}
			return parse(m, ctx)
		},
	}
}

func locality(c *common.LocalityLbConfig) Locality {
	return Locality{Weighted: c.GetLocalityWeightedLbConfig() != nil}
}

func parseRoundRobin(m *roundrobin.RoundRobin, _ *extension.Context) (any, error) {
	return RoundRobin{locality(m.LocalityLbConfig)}, nil
}

func parseRandom(m *random.Random, _ *extension.Context) (any, error) {
	return Random{locality(m.LocalityLbConfig)}, nil
}

func parseClusterProvided(*clusterprovided.ClusterProvided, *extension.Context) (any, error) {
	return nil, nil
}

func parseLeastRequest(m *leastrequest.LeastRequest, ctx *extension.Context) (any, error) {
	c := LeastRequest{Locality: locality(m.LocalityLbConfig), Choices: 2, Bias: 1}
	if m.ChoiceCount != nil {
		c.Choices = m.ChoiceCount.Value
	}
	if m.ActiveRequestBias != nil {
		c.Bias, c.BiasKey = m.ActiveRequestBias.DefaultValue, ctx.Key(m.ActiveRequestBias.RuntimeKey)
		if !(c.Bias >= 0) || math.IsInf(c.Bias, 1) { // NaN is neither
			return nil, fmt.Errorf("active_request_bias: %v is not a number from 0 on", c.Bias)
		}
	}
	c.FullScan = m.SelectionMethod == leastrequest.LeastRequest_FULL_SCAN || m.EnableFullScan.GetValue() //nolint:staticcheck // deprecated, still sent
	return c, nil
}
