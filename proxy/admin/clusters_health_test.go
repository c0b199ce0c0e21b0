package admin

import (
	"testing"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream"
)

// TestHealthFlags: every reason is in the text and in the message, in Envoy's order.
func TestHealthFlags(t *testing.T) {
	all := upstream.CheckInfo{Failed: true, Degraded: true, Pending: true, TimedOut: true, Leaving: true}
	for want, h := range map[string]upstream.HostInfo{
		"healthy": {},
		"/failed_active_hc/failed_outlier_check/failed_eds_health/degraded_active_hc/pending_dynamic_removal/pending_active_hc/active_hc_timeout": {
			Checks: all, Ejected: true, Health: cluster.Unhealthy,
		},
		"/degraded_eds_health": {Health: cluster.Degraded},
		"/eds_status_draining": {Health: cluster.Draining},
		"/failed_active_hc":    {Checks: upstream.CheckInfo{Failed: true}, Health: cluster.Healthy},
	} {
		if got := healthFlags(&h); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		m := hostStatus(&h).HealthStatus
		if m.FailedActiveHealthCheck != h.Checks.Failed || m.FailedActiveDegradedCheck != h.Checks.Degraded || m.PendingActiveHc != h.Checks.Pending ||
			m.ActiveHcTimeout != h.Checks.TimedOut || m.PendingDynamicRemoval != h.Checks.Leaving || m.FailedOutlierCheck != h.Ejected {
			t.Errorf("%s: %v", want, m)
		}
	}
}
