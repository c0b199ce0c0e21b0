package route

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"google.golang.org/protobuf/types/known/anypb"
)

// testRegistry knows one HTTP filter whose per-route configuration is Envoy's
// CorsPolicy; the model is its allow_methods.
func testRegistry() *extension.Registry {
	return extension.NewRegistry([]*extension.Factory{{
		Kind: extension.HTTPFilter, Name: "envoy.filters.http.cors",
		TypeURL:  "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors",
		RouteURL: "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
		Parse:    func(*anypb.Any, *extension.Context) (any, error) { return nil, nil },
		ParseRoute: func(a *anypb.Any, _ *extension.Context) (any, error) {
			var p corsv3.CorsPolicy
			if err := a.UnmarshalTo(&p); err != nil {
				return nil, err
			}
			if p.AllowMethods == "" {
				return nil, &fielderr.Error{Path: "allow_methods", Err: errors.New("empty")}
			}
			return p.AllowMethods, nil
		},
	}})
}

// testVars is a finished request as the operators see it.
func testVars(req *header.Headers) *Vars {
	at := time.Date(2026, 11, 24, 6, 7, 8, 123456789, time.UTC)
	return &Vars{
		Conn: &info.Conn{
			ID: 7, Source: netip.MustParseAddrPort("10.0.0.1:4321"), DirectSource: netip.MustParseAddrPort("10.9.9.9:1"),
			Dest: netip.MustParseAddrPort("[2001:db8::1]:80"), ServerName: []byte("sni.test"), FilterChain: "main",
		},
		Stream: &info.Stream{
			Protocol: info.HTTP11, Start: at, RequestDone: at.Add(12 * time.Millisecond), Cluster: "c", Route: "r",
			UpstreamHost: netip.MustParseAddrPort("10.1.1.1:8080"), Code: 200, Details: "via_upstream", BytesReceived: 3,
			Attempts: 1,
		},
		Request:  req,
		Hostname: "gateway-1",
	}
}

// decodeFilters makes a table with per-route configurations at every level.
func decodeFilters(tb testing.TB) *Table {
	tb.Helper()
	cors := func(methods string) string {
		return `{"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy, allow_methods: ` + methods + `}`
	}
	wrap := func(inner string) string {
		return `{"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, ` + inner + `}`
	}
	rc := &routev3.RouteConfiguration{}
	_, err := yamlproto.Unmarshal([]byte(`
name: t
typed_per_filter_config: {table: `+cors("table")+`, host: `+cors("table")+`, route: `+cors("table")+`, off: `+cors("table")+`}
virtual_hosts:
- name: v
  domains: ["*"]
  typed_per_filter_config: {host: `+cors("host")+`, route: `+wrap("config: "+cors("host"))+`, off: `+wrap("disabled: true")+`}
  routes:
  - match: {prefix: /a}
    typed_per_filter_config:
      route: `+cors("route")+`
      optional: `+wrap(`is_optional: true, config: {"@type": type.googleapis.com/google.protobuf.Duration, value: 1s}`)+`
    route:
      weighted_clusters:
        clusters: [{name: a, weight: 1, typed_per_filter_config: {route: `+cors("weight")+`}}, {name: b, weight: 1}]
  - match: {prefix: /b}
    route: {cluster: c}
`), rc, yamlproto.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	// An Any without a type cannot be written in YAML.
	enable, err := anypb.New(&routev3.FilterConfig{Config: &anypb.Any{}})
	if err != nil {
		tb.Fatal(err)
	}
	rc.VirtualHosts[0].Routes[1].TypedPerFilterConfig = map[string]*anypb.Any{"off": enable}
	t, err := Decode(rc, extension.NewContext(testRegistry(), "t"))
	if err != nil {
		tb.Fatal(err)
	}
	return t
}
