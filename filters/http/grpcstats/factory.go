package grpcstats

import (
	"strings"

	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
)

// Factory is envoy.filters.http.grpc_stats.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.grpc_stats", parse, build)
}

// settings is a compiled FilterConfig.
type settings struct {
	all         bool                // stats_for_all_methods
	methods     map[string]struct{} // individual_method_stats_allowlist, as service/method; nil when it is not used
	upstream    bool                // enable_upstream_stats
	replaceDots bool                // replace_dots_in_grpc_service_name
}

func parse(m *grpcstatsv3.FilterConfig, _ *extension.Context) (settings, error) {
	c := settings{upstream: m.EnableUpstreamStats}
	switch x := m.PerMethodStatSpecifier.(type) {
	case *grpcstatsv3.FilterConfig_StatsForAllMethods:
		c.all = x.StatsForAllMethods.GetValue()
		c.replaceDots = c.all && m.ReplaceDotsInGrpcServiceName
	case *grpcstatsv3.FilterConfig_IndividualMethodStatsAllowlist:
		c.methods = map[string]struct{}{}
		for _, s := range x.IndividualMethodStatsAllowlist.GetServices() {
			for _, method := range s.GetMethodNames() {
				c.methods[s.GetName()+"/"+method] = struct{}{}
			}
		}
	}
	return c, nil
}

func build(c settings, bc *filters.BuildContext) (any, error) {
	f := &filter{cfg: c, calls: filters.NewSlot[call](bc)}
	f.books.cfg, f.books.root, f.books.clusters = &f.cfg, bc.Stats, bc.Clusters
	return f, nil
}

func replaceDots(service string) string { return strings.ReplaceAll(service, ".", "_") }
