package proxy

import "github.com/weirproxy/weir/proxy/stats"

// Stats are the listener manager's, under listener_manager. (Envoy: listener
// manager statistics).
type Stats struct {
	Added         *stats.Counter `stat:"listener_added"`
	Modified      *stats.Counter `stat:"listener_modified"`
	Removed       *stats.Counter `stat:"listener_removed"`
	InPlace       *stats.Counter `stat:"listener_in_place_updated"`
	CreateSuccess *stats.Counter `stat:"listener_create_success"` // once for each worker
	CreateFailure *stats.Counter `stat:"listener_create_failure"`
	Active        *stats.Gauge   `stat:"total_listeners_active"`
	Draining      *stats.Gauge   `stat:"total_listeners_draining"`
	Started       *stats.Gauge   `stat:"workers_started"` // 1 once listeners are served
}
