package builtin_test

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/stream/streamtest"
)

// sixFilters have something to look at in every request.
const sixFilters = `
http_filters:
- name: check
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
    pass_through_mode: false
    headers: [{name: ":path", string_match: {exact: /healthz}}]
- name: cors
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}
- name: fault
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
    delay: {fixed_delay: 1s, percentage: {numerator: 1, denominator: MILLION}}
    abort: {http_status: 503, percentage: {numerator: 1, denominator: MILLION}}
    upstream_cluster: a
- name: fault2
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
    abort: {http_status: 503, percentage: {numerator: 100}}
    headers: [{name: x-fault, present_match: true}]
- name: limit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
    stat_prefix: lim
    token_bucket: {max_tokens: 1000000, tokens_per_fill: 1000000, fill_interval: 1s}
    filter_enabled: {default_value: {numerator: 100}}
    filter_enforced: {default_value: {numerator: 100}}
    enable_x_ratelimit_headers: DRAFT_VERSION_03
- name: change
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
    mutations:
      request_mutations:
      - append: {header: {key: x-from, value: "%DOWNSTREAM_REMOTE_ADDRESS% %REQ(:path)%"}}
      - remove_on_match: {key_matcher: {prefix: x-secret}}
      response_mutations: [{remove: x-powered-by}]
`

const sixRoutes = `
virtual_hosts:
- name: v
  domains: ["*"]
  typed_per_filter_config:
    cors:
      "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
      allow_origin_string_match: [{suffix: .example}]
      expose_headers: x-seen
  routes: [{match: {prefix: /}, route: {cluster: a}}]
`

// chain builds the filters before a terminal that answers.
func chain(t testing.TB) (*stream.Chain, *route.Live) {
	t.Helper()
	m := new(hcmv3.HttpConnectionManager)
	if _, err := yamlproto.Unmarshal([]byte(sixFilters), m, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
	rc := new(routev3.RouteConfiguration)
	if _, err := yamlproto.Unmarshal([]byte(sixRoutes), rc, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx := extension.NewContext(extension.NewRegistry(builtin.Filters()), "test")
	table, err := route.Decode(rc, ctx)
	if err != nil {
		t.Fatal(err)
	}
	root := stats.NewStore().Scope("")
	bc := &filters.BuildContext{Log: zap.NewNop(), Stats: root, HTTP: root.Scope("http", "test"), Slots: new(stream.Slots)}
	var named []stream.Named
	for _, f := range m.HttpFilters {
		p, err := ctx.Parse(extension.HTTPFilter, f.Name, f.GetTypedConfig())
		if err != nil {
			t.Fatal(err)
		}
		v, err := filters.Make(p, bc)
		if err != nil {
			t.Fatal(err)
		}
		named = append(named, stream.Named{Name: f.Name, Filter: v})
	}
	named = append(named, stream.Named{Name: "end", Filter: &streamtest.Terminal{Body: []byte("served")}})
	live := new(route.Live)
	live.Store(table)
	return stream.NewChain(named, bc.Slots, nil), live
}

// TestSixFiltersCostNoAllocation: neither on a request that none of them does
// anything about, nor on one that two of them change the response of.
func TestSixFiltersCostNoAllocation(t *testing.T) {
	c, live := chain(t)
	for _, x := range []struct {
		name string
		head []streamtest.Field
	}{
		{"plain", streamtest.Fields(":method", "GET", ":path", "/a", ":authority", "h.example", "user-agent", "test")},
		{"cross-origin", streamtest.Fields(":method", "GET", ":path", "/a", ":authority", "h.example", "origin", "https://a.example", "x-secret-1", "s")},
	} {
		t.Run(x.name, func(t *testing.T) {
			s, k, codec := stream.New(c), conn.New(nil), new(streamtest.Codec)
			once := func() {
				codec.Reset()
				if err := streamtest.Serve(s, k, codec, live, 1, x.head); err != nil {
					t.Error(err)
				}
				s.Recycle()
			}
			once()
			if !codec.Ended || string(codec.Body) != "served" {
				t.Fatalf("%q, ended: %v", codec.Body, codec.Ended)
			}
			if n := testing.AllocsPerRun(500, once); n > 0 {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
}

func BenchmarkSixFilters(b *testing.B) {
	c, live := chain(b)
	head := streamtest.Fields(":method", "GET", ":path", "/a", ":authority", "h.example", "user-agent", "test")
	s, k, codec := stream.New(c), conn.New(nil), new(streamtest.Codec)
	b.ReportAllocs()
	for b.Loop() {
		codec.Reset()
		if err := streamtest.Serve(s, k, codec, live, 1, head); err != nil {
			b.Fatal(err)
		}
		s.Recycle()
	}
}
