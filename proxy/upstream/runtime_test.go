package upstream

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/runtime"
)

func valuesOf(kv ...string) *runtime.Snapshot {
	l := &runtime.Layer{Name: "l", Values: map[string]*runtime.Value{}}
	for i := 0; i < len(kv); i += 2 {
		l.Values[kv[i]] = runtime.ParseValue(kv[i+1])
	}
	return runtime.Merge([]*runtime.Layer{l})
}

// TestRuntimeOverrides: what is said of a cluster counts in place of what is configured, and nothing else changes.
func TestRuntimeOverrides(t *testing.T) {
	base := func() *cluster.Cluster {
		return &cluster.Cluster{
			Name: "a.b", Panic: 50,
			Default: cluster.Thresholds{MaxConnections: 1, MaxPending: 2, MaxRequests: 3, MaxRetries: 4, BudgetPercent: -1},
			High:    cluster.Thresholds{MaxConnections: 5, BudgetPercent: 10, BudgetMinConcurrency: 7},
			Outlier: &cluster.Outlier{Consecutive5xx: 5, Interval: 10 * time.Second, MaxEjectionPercent: 10},
			Health:  &cluster.HealthCheck{Interval: time.Second, NoTraffic: time.Minute, NoTrafficHealthy: time.Minute, Unhealthy: time.Second, UnhealthyEdge: time.Second, HealthyEdge: 5 * time.Second},
		}
	}
	all := cmp.Exporter(func(reflect.Type) bool { return true })
	f := func(change func(*cluster.Cluster), kv ...string) {
		t.Helper()
		in := base()
		got := newOverrides(valuesOf(kv...)).over(in)
		want := base()
		if change != nil {
			change(want)
		} else if got != in {
			t.Errorf("%q: a copy of the same", kv)
		}
		if diff := cmp.Diff(want, got, all); diff != "" {
			t.Errorf("%q (-want +got):\n%s", kv, diff)
		}
		if diff := cmp.Diff(base(), in, all); diff != "" {
			t.Errorf("%q: what is configured changed:\n%s", kv, diff)
		}
	}
	f(nil)
	f(nil, "my.key", "1")
	f(nil, "upstream.healthy_panic_threshold", "50")
	f(nil, "upstream.healthy_panic_threshold", "words")
	f(func(c *cluster.Cluster) { c.Panic = 0 }, "upstream.healthy_panic_threshold", "0")
	f(func(c *cluster.Cluster) { c.Panic = 100 }, "upstream.healthy_panic_threshold", "400")
	f(nil, "circuit_breakers.other.default.max_connections", "9")
	f(nil, "circuit_breakers.a.b.default.max_connections", "4294967296")
	f(func(c *cluster.Cluster) {
		c.Default.MaxConnections, c.Default.MaxPending, c.Default.MaxRequests, c.Default.MaxRetries = 9, 8, 7, 0
		c.High.MaxConnections = 6
	}, "circuit_breakers.a.b.default.max_connections", "9", "circuit_breakers.a.b.default.max_pending_requests", "8",
		"circuit_breakers.a.b.default.max_requests", "7", "circuit_breakers.a.b.default.max_retries", "0",
		"circuit_breakers.a.b.high.max_connections", "6")
	f(func(c *cluster.Cluster) { c.Default.BudgetPercent, c.Default.BudgetMinConcurrency = 12.5, 3 },
		"circuit_breakers.a.b.default.retry_budget.budget_percent", "12.5")
	f(func(c *cluster.Cluster) { c.Default.BudgetPercent, c.Default.BudgetMinConcurrency = 20, 1 },
		"circuit_breakers.a.b.default.retry_budget.min_retry_concurrency", "1")
	f(func(c *cluster.Cluster) { c.High.BudgetMinConcurrency = 2 }, "circuit_breakers.a.b.high.retry_budget.min_retry_concurrency", "2")
	f(func(c *cluster.Cluster) {
		c.Outlier.Consecutive5xx, c.Outlier.EnforcingConsecutiveGateway, c.Outlier.Interval, c.Outlier.MaxEjectionPercent = 1, 100, 20*time.Millisecond, 99
	}, "outlier_detection.consecutive_5xx", "1", "outlier_detection.enforcing_consecutive_gateway_failure", "100",
		"outlier_detection.interval_ms", "20", "outlier_detection.max_ejection_percent", "99")
	f(nil, "outlier_detection.interval_ms", "0")
	f(func(c *cluster.Cluster) {
		h := c.Health
		h.Interval, h.Unhealthy, h.UnhealthyEdge, h.NoTraffic, h.NoTrafficHealthy = 2*time.Second, 2*time.Second, 2*time.Second, 10*time.Second, 10*time.Second
	}, "health_check.min_interval", "2000", "health_check.max_interval", "10000")
}
