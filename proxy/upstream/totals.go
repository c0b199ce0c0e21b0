package upstream

import "github.com/weirproxy/weir/proxy/stats"

// ManagerStats are about all clusters, under cluster_manager. (Envoy: cluster manager
// statistics).
type ManagerStats struct {
	Added    *stats.Counter `stat:"cluster_added"`
	Modified *stats.Counter `stat:"cluster_modified"`
	Removed  *stats.Counter `stat:"cluster_removed"`
	Active   *stats.Gauge   `stat:"active_clusters"`
}
