package lb

import (
	"fmt"
	"math/big"

	maglevpb "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	ringhash "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"

	"github.com/weirproxy/weir/config/extension"
)

// Sizes as Envoy has them.
const (
	defaultMinRing = 1024
	defaultMaxRing = 8 << 20
	defaultTable   = 65537
)

func parseRingHash(m *ringhash.RingHash, _ *extension.Context) (any, error) {
	c := RingHash{
		Locality:       Locality{Weighted: m.LocalityWeightedLbConfig != nil},
		Min:            defaultMinRing,
		Max:            defaultMaxRing,
		ByHostname:     m.UseHostnameForHashing || m.ConsistentHashingLbConfig.GetUseHostnameForHashing(),
		BalancePercent: max(m.HashBalanceFactor.GetValue(), m.ConsistentHashingLbConfig.GetHashBalanceFactor().GetValue()),
	}
	switch m.HashFunction {
	case ringhash.RingHash_DEFAULT_HASH, ringhash.RingHash_XX_HASH:
	case ringhash.RingHash_MURMUR_HASH_2:
		c.Murmur2 = true
	default:
		return nil, fmt.Errorf("hash_function: unknown value %d", m.HashFunction)
	}
	if m.MinimumRingSize != nil {
		c.Min = m.MinimumRingSize.Value
	}
	if m.MaximumRingSize != nil {
		c.Max = m.MaximumRingSize.Value
	}
	c.Min, c.Max = max(c.Min, 1), max(c.Max, 1)
	if c.Min > c.Max {
		return nil, fmt.Errorf("minimum_ring_size: %d is above maximum_ring_size %d", c.Min, c.Max)
	}
	return c, nil
}

func parseMaglev(m *maglevpb.Maglev, _ *extension.Context) (any, error) {
	c := Maglev{
		Locality:       Locality{Weighted: m.LocalityWeightedLbConfig != nil},
		TableSize:      defaultTable,
		ByHostname:     m.ConsistentHashingLbConfig.GetUseHostnameForHashing(),
		BalancePercent: m.ConsistentHashingLbConfig.GetHashBalanceFactor().GetValue(),
	}
	if m.TableSize != nil {
		c.TableSize = m.TableSize.Value
	}
	if c.TableSize < 2 || !new(big.Int).SetUint64(c.TableSize).ProbablyPrime(0) { // exact below 2^64
		return nil, fmt.Errorf("table_size: %d is not a prime number", c.TableSize)
	}
	return c, nil
}
