package cluster

import (
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	providedv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/cluster_provided/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	leastv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	randomv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	ringv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	roundv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const policyPrefix = "envoy.load_balancing_policies."

// providedURL is the policy of clusters whose type chooses the host itself.
const providedURL = "type.googleapis.com/envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided"

// decodeLB reads the load-balancing policy. load_balancing_policy wins over lb_policy, as in Envoy; lb_policy and its *_lb_config
// become the same typed configuration, so that there is one way from here on.
func decodeLB(l *fielderr.List, d *Cluster, p *clusterv3.Cluster, ctx *extension.Context) {
	var at, name string
	var cfg *anypb.Any
	switch {
	case p.GetLoadBalancingPolicy() != nil:
		at, name, cfg = firstSupported(l, p.GetLoadBalancingPolicy(), ctx)
	case p.GetLbPolicy() == clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG:
		l.Addf("load_balancing_policy", "unset, and lb_policy refers to it")
	default:
		at, name, cfg = legacyPolicy(l, p)
	}
	if cfg == nil {
		return
	}
	var ok bool
	if d.LB.Policy, ok = core.Parse(l, at, extension.LBPolicy, name, cfg, ctx); !ok {
		return
	}
	provided := cfg.GetTypeUrl() == providedURL
	switch {
	case d.Type == OriginalDestination && !provided:
		l.Addf(at, "%s is not valid for a cluster of type ORIGINAL_DST: only CLUSTER_PROVIDED is", name)
	case d.Type != OriginalDestination && provided:
		l.Addf(at, "CLUSTER_PROVIDED is not valid for a cluster of type %s: only for ORIGINAL_DST", d.Type)
	}
	d.LocalityWeighted = localityWeighted(cfg)
}

// firstSupported takes the first policy of the list that is known; Envoy's control planes put fallbacks behind newer ones.
func firstSupported(l *fielderr.List, p *clusterv3.LoadBalancingPolicy, ctx *extension.Context) (at, name string, cfg *anypb.Any) {
	var known []string
	for i, q := range p.GetPolicies() {
		c := q.GetTypedExtensionConfig()
		if _, ok := ctx.Registry.ByType(extension.LBPolicy, c.GetTypedConfig().GetTypeUrl()); ok {
			return fielderr.Index("load_balancing_policy.policies", i) + ".typed_extension_config", c.GetName(), c.GetTypedConfig()
		}
		known = append(known, fmt.Sprintf("%q (%s)", c.GetName(), strings.TrimPrefix(c.GetTypedConfig().GetTypeUrl(), "type.googleapis.com/")))
	}
	if len(known) == 0 {
		l.Addf("load_balancing_policy.policies", "empty")
		return
	}
	l.Addf("load_balancing_policy.policies", "none is supported: %s", strings.Join(known, ", "))
	return
}

// legacyPolicy turns lb_policy and the fields that belong to it into a typed configuration.
func legacyPolicy(l *fielderr.List, p *clusterv3.Cluster) (at, name string, cfg *anypb.Any) {
	var m proto.Message
	common := p.GetCommonLbConfig()
	switch p.GetLbPolicy() {
	case clusterv3.Cluster_ROUND_ROBIN:
		name = "round_robin"
		m = &roundv3.RoundRobin{
			LocalityLbConfig: locality(common),
			SlowStartConfig:  slowStart(p.GetRoundRobinLbConfig().GetSlowStartConfig()),
		}
	case clusterv3.Cluster_LEAST_REQUEST:
		c := p.GetLeastRequestLbConfig()
		name = "least_request"
		m = &leastv3.LeastRequest{
			ChoiceCount:       c.GetChoiceCount(),
			ActiveRequestBias: c.GetActiveRequestBias(),
			LocalityLbConfig:  locality(common),
			SlowStartConfig:   slowStart(c.GetSlowStartConfig()),
		}
	case clusterv3.Cluster_RANDOM:
		name = "random"
		m = &randomv3.Random{LocalityLbConfig: locality(common)}
	case clusterv3.Cluster_RING_HASH:
		c := p.GetRingHashLbConfig()
		h := ringv3.RingHash_XX_HASH
		if c.GetHashFunction() == clusterv3.Cluster_RingHashLbConfig_MURMUR_HASH_2 {
			h = ringv3.RingHash_MURMUR_HASH_2
		}
		name = "ring_hash"
		m = &ringv3.RingHash{
			HashFunction:              h,
			MinimumRingSize:           c.GetMinimumRingSize(),
			MaximumRingSize:           c.GetMaximumRingSize(),
			ConsistentHashingLbConfig: consistent(common),
			LocalityWeightedLbConfig:  locality(common).GetLocalityWeightedLbConfig(),
		}
	case clusterv3.Cluster_MAGLEV:
		name = "maglev"
		m = &maglevv3.Maglev{
			TableSize:                 p.GetMaglevLbConfig().GetTableSize(),
			ConsistentHashingLbConfig: consistent(common),
			LocalityWeightedLbConfig:  locality(common).GetLocalityWeightedLbConfig(),
		}
	case clusterv3.Cluster_CLUSTER_PROVIDED:
		name = "cluster_provided"
		m = &providedv3.ClusterProvided{}
	default:
		l.Addf("lb_policy", "unknown value %d", p.GetLbPolicy())
		return
	}
	other := p.GetLbConfig()
	switch other.(type) {
	case *clusterv3.Cluster_RoundRobinLbConfig_:
		belongs(l, "round_robin_lb_config", p, clusterv3.Cluster_ROUND_ROBIN)
	case *clusterv3.Cluster_LeastRequestLbConfig_:
		belongs(l, "least_request_lb_config", p, clusterv3.Cluster_LEAST_REQUEST)
	case *clusterv3.Cluster_RingHashLbConfig_:
		belongs(l, "ring_hash_lb_config", p, clusterv3.Cluster_RING_HASH)
	case *clusterv3.Cluster_MaglevLbConfig_:
		belongs(l, "maglev_lb_config", p, clusterv3.Cluster_MAGLEV)
	}
	cfg, err := anypb.New(m)
	if err != nil {
		l.Add("lb_policy", err)
		return
	}
	return "lb_policy", policyPrefix + name, cfg
}

// belongs refuses the options of one policy on a cluster with another.
func belongs(l *fielderr.List, path string, p *clusterv3.Cluster, want clusterv3.Cluster_LbPolicy) {
	if p.GetLbPolicy() != want {
		l.Addf(path, "set with lb_policy %s", p.GetLbPolicy())
	}
}

func locality(c *clusterv3.Cluster_CommonLbConfig) *commonv3.LocalityLbConfig {
	switch s := c.GetLocalityConfigSpecifier().(type) {
	case *clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_:
		return &commonv3.LocalityLbConfig{LocalityConfigSpecifier: &commonv3.LocalityLbConfig_LocalityWeightedLbConfig_{
			LocalityWeightedLbConfig: &commonv3.LocalityLbConfig_LocalityWeightedLbConfig{},
		}}
	case *clusterv3.Cluster_CommonLbConfig_ZoneAwareLbConfig_:
		z := s.ZoneAwareLbConfig
		return &commonv3.LocalityLbConfig{LocalityConfigSpecifier: &commonv3.LocalityLbConfig_ZoneAwareLbConfig_{
			ZoneAwareLbConfig: &commonv3.LocalityLbConfig_ZoneAwareLbConfig{
				RoutingEnabled: z.GetRoutingEnabled(), MinClusterSize: z.GetMinClusterSize(), FailTrafficOnPanic: z.GetFailTrafficOnPanic(),
			},
		}}
	}
	return nil
}

func consistent(c *clusterv3.Cluster_CommonLbConfig) *commonv3.ConsistentHashingLbConfig {
	h := c.GetConsistentHashingLbConfig()
	if h == nil {
		return nil
	}
	return &commonv3.ConsistentHashingLbConfig{
		UseHostnameForHashing: h.GetUseHostnameForHashing(), HashBalanceFactor: h.GetHashBalanceFactor(),
	}
}

func slowStart(s *clusterv3.Cluster_SlowStartConfig) *commonv3.SlowStartConfig {
	if s == nil {
		return nil
	}
	return &commonv3.SlowStartConfig{
		SlowStartWindow: s.GetSlowStartWindow(), Aggression: s.GetAggression(), MinWeightPercent: s.GetMinWeightPercent(),
	}
}

// localityWeighted says whether a policy distributes over localities by their weights.
func localityWeighted(cfg *anypb.Any) bool {
	m, err := cfg.UnmarshalNew()
	if err != nil {
		return false
	}
	switch m := m.(type) {
	case interface {
		GetLocalityLbConfig() *commonv3.LocalityLbConfig
	}:
		return m.GetLocalityLbConfig().GetLocalityWeightedLbConfig() != nil
	case interface {
		GetLocalityWeightedLbConfig() *commonv3.LocalityLbConfig_LocalityWeightedLbConfig
	}:
		return m.GetLocalityWeightedLbConfig() != nil
	}
	return false
}
