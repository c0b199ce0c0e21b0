package ondemand

import (
	"time"

	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
)

// settings say how clusters are asked for; nil is not at all.
type settings struct {
	clusters bool             // odcds is set
	from     extension.Source // odcds.source
	timeout  time.Duration    // odcds.timeout, default 5 s
}

const defaultTimeout = 5 * time.Second

// Factory is envoy.filters.http.on_demand.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.on_demand", parse, build, filters.PerRoute(parseRoute))
}

func parse(m *ondemandv3.OnDemand, _ *extension.Context) (*settings, error) {
	return odcds(m.GetOdcds())
}

func parseRoute(m *ondemandv3.PerRouteConfig, _ *extension.Context) (*settings, error) {
	return odcds(m.GetOdcds())
}

func odcds(m *ondemandv3.OnDemandCds) (*settings, error) {
	var l fielderr.List
	if m == nil {
		return &settings{}, nil
	}
	s := &settings{clusters: true, timeout: l.Duration("odcds.timeout", m.GetTimeout(), defaultTimeout)}
	s.from = core.DecodeSource(&l, "odcds.source", m.GetSource())
	if m.GetResourcesLocator() != "" {
		l.Addf("odcds.resources_locator", "not supported")
	}
	return s, l.Err()
}

func build(s *settings, bc *filters.BuildContext) (any, error) {
	return &filter{name: bc.Name, own: s, clusters: bc.Clusters, discover: bc.Discover}, nil
}
