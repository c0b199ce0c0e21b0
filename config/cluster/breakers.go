package cluster

import (
	"math"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Envoy's defaults (envoy/config/cluster/v3/circuit_breaker.proto).
const (
	defaultLimit             = 1024
	defaultMaxRetries        = 3
	defaultBudgetPercent     = 20
	defaultBudgetConcurrency = 3
)

// DefaultThresholds are the limits of a priority that has none configured.
func DefaultThresholds() Thresholds {
	return Thresholds{
		MaxConnections: defaultLimit, MaxPending: defaultLimit, MaxRequests: defaultLimit,
		MaxRetries:           defaultMaxRetries,
		BudgetPercent:        -1,
		BudgetMinConcurrency: defaultBudgetConcurrency,
		MaxPools:             math.MaxUint32,
	}
}

// decodeBreakers reads circuit_breakers. Of several thresholds for one priority the first counts, as Envoy documents.
func decodeBreakers(l *fielderr.List, d *Cluster, p *clusterv3.Cluster) {
	d.Default, d.High = DefaultThresholds(), DefaultThresholds()
	var seen [2]bool
	for i, t := range p.GetCircuitBreakers().GetThresholds() {
		at := fielderr.Index("circuit_breakers.thresholds", i)
		pr := t.GetPriority()
		if pr != corev3.RoutingPriority_DEFAULT && pr != corev3.RoutingPriority_HIGH {
			l.Addf(at+".priority", "unknown value %d", pr)
			continue
		}
		v := decodeThresholds(l, at, t)
		if seen[pr] {
			continue
		}
		seen[pr] = true
		if pr == corev3.RoutingPriority_HIGH {
			d.High = v
		} else {
			d.Default = v
		}
	}
	for i, t := range p.GetCircuitBreakers().GetPerHostThresholds() {
		at := fielderr.Index("circuit_breakers.per_host_thresholds", i)
		if t.GetPriority() != corev3.RoutingPriority_DEFAULT {
			l.Addf(at+".priority", "only DEFAULT is supported here")
			continue
		}
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"max_pending_requests", t.GetMaxPendingRequests() != nil},
			{"max_requests", t.GetMaxRequests() != nil},
			{"max_retries", t.GetMaxRetries() != nil},
			{"max_connection_pools", t.GetMaxConnectionPools() != nil},
			{"retry_budget", t.GetRetryBudget() != nil},
		} {
			if f.set {
				l.Addf(at+"."+f.name, "only max_connections is supported per host (as in Envoy)")
			}
		}
		if i == 0 {
			d.PerHostMaxConnections = t.GetMaxConnections().GetValue()
		}
	}
}

func decodeThresholds(l *fielderr.List, at string, t *clusterv3.CircuitBreakers_Thresholds) Thresholds {
	d := DefaultThresholds()
	set(&d.MaxConnections, t.GetMaxConnections())
	set(&d.MaxPending, t.GetMaxPendingRequests())
	set(&d.MaxRequests, t.GetMaxRequests())
	set(&d.MaxRetries, t.GetMaxRetries())
	set(&d.MaxPools, t.GetMaxConnectionPools())
	d.TrackRemaining = t.GetTrackRemaining()
	if b := t.GetRetryBudget(); b != nil {
		d.BudgetPercent = defaultBudgetPercent
		if v := b.GetBudgetPercent(); v != nil {
			d.BudgetPercent = l.Percent(at+".retry_budget.budget_percent.value", v.GetValue())
		}
		set(&d.BudgetMinConcurrency, b.GetMinRetryConcurrency())
		d.BudgetInterval = l.Duration(at+".retry_budget.budget_interval", b.GetBudgetInterval(), 0)
	}
	return d
}

func set(to *uint32, v *wrapperspb.UInt32Value) { *to = fielderr.Uint32(v, *to) }

// decodeOutlier reads outlier_detection; nil when it is not configured. Defaults are those of
// envoy/config/cluster/v3/outlier_detection.proto.
func decodeOutlier(l *fielderr.List, p *clusterv3.OutlierDetection) *Outlier {
	if p == nil {
		return nil
	}
	const at = "outlier_detection."
	d := &Outlier{
		Consecutive5xx:              fielderr.Uint32(p.GetConsecutive_5Xx(), 5),
		EnforcingConsecutive5xx:     percentage(l, at+"enforcing_consecutive_5xx", p.GetEnforcingConsecutive_5Xx(), 100),
		ConsecutiveGateway:          fielderr.Uint32(p.GetConsecutiveGatewayFailure(), 5),
		EnforcingConsecutiveGateway: percentage(l, at+"enforcing_consecutive_gateway_failure", p.GetEnforcingConsecutiveGatewayFailure(), 0),
		SplitLocal:                  p.GetSplitExternalLocalOriginErrors(),
		ConsecutiveLocal:            fielderr.Uint32(p.GetConsecutiveLocalOriginFailure(), 5),
		EnforcingConsecutiveLocal:   percentage(l, at+"enforcing_consecutive_local_origin_failure", p.GetEnforcingConsecutiveLocalOriginFailure(), 100),
		Interval:                    l.PositiveDuration(at+"interval", p.GetInterval(), 10*time.Second),
		BaseEjection:                l.PositiveDuration(at+"base_ejection_time", p.GetBaseEjectionTime(), 30*time.Second),
		MaxEjectionPercent:          percentage(l, at+"max_ejection_percent", p.GetMaxEjectionPercent(), 10),
		AlwaysEjectOne:              p.GetAlwaysEjectOneHost().GetValue(),
		KeepEjected:                 !fielderr.Bool(p.GetSuccessfulActiveHealthCheckUnejectHost(), true),
	}
	d.MaxEjection = l.PositiveDuration(at+"max_ejection_time", p.GetMaxEjectionTime(), max(300*time.Second, d.BaseEjection))
	if d.MaxEjection < d.BaseEjection {
		l.Addf(at+"max_ejection_time", "%v is below base_ejection_time %v", d.MaxEjection, d.BaseEjection)
	}
	return d
}

func percentage(l *fielderr.List, path string, v *wrapperspb.UInt32Value, def uint32) uint32 {
	if n := v.GetValue(); n > 100 {
		l.Addf(path, "%d is not between 0 and 100", n)
	}
	return fielderr.Uint32(v, def)
}
