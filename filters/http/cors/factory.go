package cors

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
)

// Factory is envoy.filters.http.cors.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.cors", parse, build, filters.PerRoute(parsePolicy))
}

func parse(*corsv3.Cors, *extension.Context) (struct{}, error) { return struct{}{}, nil }

func build(_ struct{}, bc *filters.BuildContext) (any, error) {
	return &filter{
		name:    bc.Name,
		stats:   stats.Fill[Stats](bc.HTTP.Scope("cors")),
		allowed: filters.NewSlot[*policy](bc),
	}, nil
}

func parsePolicy(m *corsv3.CorsPolicy, ctx *extension.Context) (*policy, error) {
	var l fielderr.List
	p := &policy{
		methods: m.AllowMethods, headers: m.AllowHeaders, expose: m.ExposeHeaders, maxAge: m.MaxAge,
		credentials:    m.GetAllowCredentials().GetValue(),
		privateNetwork: m.GetAllowPrivateNetworkAccess().GetValue(),
		forward:        fielderr.Bool(m.ForwardNotMatchingPreflights, true),
	}
	var err error
	p.origins, err = match.NewStrings("allow_origin_string_match", m.AllowOriginStringMatch)
	l.Add("", err)
	for i := range p.origins {
		if p.origins[i].Match([]byte("*")) {
			p.anyOrigin = true // Envoy: a matcher that takes "*" takes every origin
		}
	}
	for _, f := range []struct{ field, value string }{
		{"allow_methods", m.AllowMethods},
		{"allow_headers", m.AllowHeaders},
		{"expose_headers", m.ExposeHeaders},
		{"max_age", m.MaxAge},
	} {
		l.Add(f.field, match.HeaderValue(f.value))
	}
	always := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
	never := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{}}
	p.enabled = fraction(&l, "filter_enabled", m.FilterEnabled, always, ctx)
	p.shadow = fraction(&l, "shadow_enabled", m.ShadowEnabled, never, ctx)
	return p, l.Err()
}

func fraction(l *fielderr.List, path string, m, unset *corev3.RuntimeFractionalPercent, ctx *extension.Context) match.Fraction {
	if m == nil {
		m = unset
	}
	f, err := match.NewRuntimeFraction(m, "cors."+path, ctx.Runtime)
	l.Add(path, err)
	return f
}
