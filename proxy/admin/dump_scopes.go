package admin

import (
	"slices"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
)

// scopes are the scopes of routes that stand in listeners, by connection manager, and those that were discovered: each is an entry of
// its own, by its own version and mistake.
func (d *dump) scopes() *adminv3.ScopedRoutesConfigDump {
	m := &adminv3.ScopedRoutesConfigDump{}
	for _, r := range sorted(d.snap.Listeners) {
		for _, sr := range inlineScopes(r) {
			if !d.keep.MatchString(sr.GetName()) {
				continue
			}
			in := &adminv3.ScopedRoutesConfigDump_InlineScopedRouteConfigs{Name: sr.GetName()}
			if r.Static {
				in.LastUpdated = d.started
			}
			for _, s := range sr.GetScopedRouteConfigurationsList().GetScopedRouteConfigurations() {
				if a, err := anypb.New(s); err == nil {
					in.ScopedRouteConfigs = append(in.ScopedRouteConfigs, a)
				}
			}
			m.InlineScopedRouteConfigs = append(m.InlineScopedRouteConfigs, in)
		}
	}
	d.resources("srds", d.snap.Scopes, func(e entry) {
		if e.live == nil && e.status.Error == nil && !e.waits() {
			return
		}
		s := &adminv3.ScopedRoutesConfigDump_DynamicScopedRouteConfigs{Name: e.name, ErrorState: e.failure()}
		if e.live != nil {
			s.VersionInfo, s.ScopedRouteConfigs = e.live.Version, []*anypb.Any{raw(e.live, config.ScopeURL)}
		} else {
			s.VersionInfo, s.ScopedRouteConfigs = e.status.Next, []*anypb.Any{named(&routev3.ScopedRouteConfiguration{}, e.name)}
		}
		m.DynamicScopedRouteConfigs = append(m.DynamicScopedRouteConfigs, s)
	})
	return m
}

// inlineScopes are the scoped_routes of a listener's connection managers that have their scopes in themselves.
func inlineScopes(r *config.Resource) (out []*hcmv3.ScopedRoutes) {
	l := listenerOf(r)
	for _, c := range append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain()) {
		for _, f := range c.GetFilters() {
			h := &hcmv3.HttpConnectionManager{}
			if f.GetTypedConfig().MessageIs(h) && f.GetTypedConfig().UnmarshalTo(h) == nil && h.GetScopedRoutes().GetScopedRouteConfigurationsList() != nil {
				out = append(out, h.GetScopedRoutes())
			}
		}
	}
	return out
}
