package runtime

import (
	"maps"
	"slices"
	"strings"
)

// A KeyRow is a row of the table of Envoy's own keys. All other keys are named by configurations (runtime_key).
type KeyRow struct {
	Name string // one ending in "*" is every key that begins so
	Type string // "integer", "percent" …; "" for a key that is not read
	Does string // what it changes, or why it is not read
	Bad  bool   // nothing reads it, and Envoy would serve differently: it is refused
}

// Keys is the table of keys that Envoy reads without being told to by a configuration; the first row that fits a key is its row.
// docs/runtime.md is generated from it.
func Keys() []KeyRow {
	return []KeyRow{
		{Name: "upstream.healthy_panic_threshold", Type: "percent", Does: "a cluster's healthy_panic_threshold, of all clusters"},
		{Name: "circuit_breakers.*", Type: "integer", Does: "`circuit_breakers.<cluster>.<default or high>.` and `max_connections`, `max_pending_requests`, `max_requests`, `max_retries`, `retry_budget.budget_percent` (a number), `retry_budget.min_retry_concurrency`"},
		{Name: "outlier_detection.success_rate_*", Bad: true, Does: "hosts are not compared with each other"},
		{Name: "outlier_detection.enforcing_success_rate", Bad: true, Does: "hosts are not compared with each other"},
		{Name: "outlier_detection.enforcing_local_origin_success_rate", Bad: true, Does: "hosts are not compared with each other"},
		{Name: "outlier_detection.failure_percentage_*", Bad: true, Does: "hosts are not compared with each other"},
		{Name: "outlier_detection.enforcing_failure_percentage*", Bad: true, Does: "hosts are not compared with each other"},
		{Name: "outlier_detection.*", Type: "integer", Does: "of clusters with outlier_detection: `consecutive_5xx`, `consecutive_gateway_failure`, `consecutive_local_origin_failure`, each also with `enforcing_` before it, `max_ejection_percent`, and in milliseconds `interval_ms`, `base_ejection_time_ms`, `max_ejection_time_ms`"},
		{Name: "health_check.min_interval", Type: "integer", Does: "no health check comes sooner after the one before, in milliseconds"},
		{Name: "health_check.max_interval", Type: "integer", Does: "… or later"},
		{Name: "fault.http.delay.fixed_delay_percent", Type: "percent", Does: "the fault filter's `delay.percentage`; `delay_percent_runtime` names another key, and likewise below"},
		{Name: "fault.http.delay.fixed_duration_ms", Type: "integer", Does: "its duration, in milliseconds"},
		{Name: "fault.http.abort.abort_percent", Type: "percent", Does: "`abort.percentage`"},
		{Name: "fault.http.abort.http_status", Type: "integer", Does: "`abort.http_status`"},
		{Name: "fault.http.abort.grpc_status", Type: "integer", Does: "`abort.grpc_status`"},
		{Name: "fault.http.max_active_faults", Type: "integer", Does: "`max_active_faults`"},
		{Name: "health_check.verify_cluster", Bad: true, Does: "set service_name_matcher"},
		{Name: "fault.http.*", Bad: true, Does: "keys by the name of the downstream cluster are not read"},
		{Name: "upstream.maintenance_mode.*", Bad: true, Does: "clusters have no maintenance mode"},
		{Name: "upstream.zone_routing.*", Bad: true, Does: "requests are not kept in their zone"},
		{Name: "upstream.weight_enabled", Bad: true, Does: "weights always count"},
		{Name: "upstream.use_retry", Type: "percent", Does: "the share of requests that may be tried again"},
		{Name: "upstream.base_retry_backoff_ms", Type: "integer", Does: "the base interval between tries where `retry_back_off` is not set, in milliseconds"},
		{Name: "http_connection_manager.*", Bad: true, Does: "set the fields of the HTTP connection manager"},
		{Name: "overload.global_downstream_max_connections", Type: "integer", Does: "downstream connections at once, over all listeners that do not ignore it, unless the resource monitor envoy.resource_monitors.global_downstream_max_connections is configured"},
		{Name: "overload.*", Bad: true, Does: "use the resource monitor envoy.resource_monitors.global_downstream_max_connections"},
		{Name: "envoy.resource_limits.listener.*", Type: "integer", Does: "`envoy.resource_limits.listener.<name>.connection_limit`: the listener's connections at once"},
		{Name: "envoy.resource_limits.*", Bad: true, Does: "nothing but connections of a listener is limited by runtime"},
		{Name: "envoy.reloadable_features.*", Does: "guards changes of Envoy's own code"},
		{Name: "envoy.restart_features.*", Does: "guards changes of Envoy's own code"},
		{Name: "envoy.deprecated_features.*", Does: "every supported field may be used"},
		{Name: "envoy.features.*", Does: "every supported field may be used"},
		{Name: "re2.*", Does: "regular expressions run in linear time, in memory bounded by their length"},
		{Name: "tracing.*", Does: "there is no tracing"},
		{Name: "upstream.use_http2", Does: "long gone from Envoy"},
	}
}

// Row finds the row of a key, false for a key of a configuration.
func Row(name string) (KeyRow, bool) {
	for _, r := range Keys() {
		if prefix, ok := strings.CutSuffix(r.Name, "*"); r.Name == name || ok && strings.HasPrefix(name, prefix) {
			return r, true
		}
	}
	return KeyRow{}, false
}

// An UnreadKey is a key that is set and would change in Envoy what is served, and here does not.
type UnreadKey struct{ Name, Why string }

// Unread gives those of some values, by name.
func Unread(values map[string]*Value) (out []UnreadKey) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if r, ok := Row(name); ok && r.Bad {
			out = append(out, UnreadKey{name, r.Does})
		}
	}
	return out
}
