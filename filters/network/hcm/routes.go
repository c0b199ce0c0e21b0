package hcm

import (
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/hcm"
)

// routes takes the inline table, or asks for the one that RDS brings.
func routes(l *fielderr.List, c *hcm.Config, m *hcmv3.HttpConnectionManager, ctx *extension.Context) {
	switch r := m.RouteSpecifier.(type) {
	case *hcmv3.HttpConnectionManager_RouteConfig:
		t, err := route.Decode(r.RouteConfig, ctx)
		if err != nil {
			l.Add("route_config", err)
			return
		}
		if c.Table = t; t.Discovers {
			l.Addf("route_config.vhds", "not supported in a table that does not come by RDS")
		}
	case *hcmv3.HttpConnectionManager_Rds:
		if r.Rds.RouteConfigName == "" {
			l.Addf("rds.route_config_name", "unset")
			return
		}
		c.RouteName = r.Rds.RouteConfigName
		src := core.DecodeSource(l, "rds.config_source", r.Rds.GetConfigSource())
		if key := ctx.RequireFrom(routesURL, c.RouteName, src); key != c.RouteName {
			c.RouteKey = key
		}
	case *hcmv3.HttpConnectionManager_ScopedRoutes:
		c.Scopes = scopes(l, r.ScopedRoutes, ctx)
	default:
		l.Addf("route_specifier", "rds, route_config or scoped_routes must be set")
	}
}

// scopes takes scoped_routes: the scopes themselves, or asks for those that SRDS brings.
func scopes(l *fielderr.List, m *hcmv3.ScopedRoutes, ctx *extension.Context) *hcm.Scopes {
	const at = "scoped_routes"
	s := &hcm.Scopes{Name: m.GetName()}
	if s.Name == "" {
		l.Addf(at+".name", "unset")
	}
	var err error
	s.Key, err = route.DecodeScopeKey(m.GetScopeKeyBuilder())
	l.Add(at+".scope_key_builder", err)
	var rds extension.Source
	if m.GetRdsConfigSource() != nil {
		rds = core.DecodeSource(l, at+".rds_config_source", m.GetRdsConfigSource())
	}
	s.Routes = rds.Stream()
	switch c := m.GetConfigSpecifier().(type) {
	case *hcmv3.ScopedRoutes_ScopedRouteConfigurationsList:
		list := at + ".scoped_route_configurations_list.scoped_route_configurations"
		for i, p := range c.ScopedRouteConfigurationsList.GetScopedRouteConfigurations() {
			sc, err := route.DecodeScope(p, rds, ctx)
			if l.Add(fielderr.Index(list, i), err); err == nil {
				s.Inline = append(s.Inline, sc)
			}
		}
		if len(c.ScopedRouteConfigurationsList.GetScopedRouteConfigurations()) == 0 {
			l.Addf(list, "empty")
		}
		l.Add(list, route.Unique(s.Inline))
	case *hcmv3.ScopedRoutes_ScopedRds:
		if c.ScopedRds.GetSrdsResourcesLocator() != "" {
			l.Addf(at+".scoped_rds.srds_resources_locator", "not supported")
		}
		s.Source = ctx.RequireRef(extension.Ref{
			TypeURL: route.ScopeURL, Name: "*", Routes: rds,
			Source: core.DecodeSource(l, at+".scoped_rds.scoped_rds_config_source", c.ScopedRds.GetScopedRdsConfigSource()),
		})
	default:
		l.Addf(at, "neither scoped_route_configurations_list nor scoped_rds is set")
	}
	return s
}
