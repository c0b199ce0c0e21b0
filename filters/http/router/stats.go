package router

import (
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/stats"
)

// Stats count requests that came to the router, under http.<stat_prefix>. (Envoy: HTTP router statistics). no_route and no_cluster are
// the connection manager's.
type Stats struct {
	Total  *stats.Counter `stat:"rq_total"`
	Direct *stats.Counter `stat:"rq_direct_response"` // that the route answers itself, redirects with them
}

// count counts a request whose route is rt. Nil counts nothing.
func (st *Stats) count(rt *route.Route) {
	if st == nil {
		return
	}
	st.Total.Inc()
	if rt != nil && (rt.Redirect != nil || rt.Direct != nil) {
		st.Direct.Inc()
	}
}
