package scale

import (
	"fmt"
	"strings"
	"testing"
)

// bootstrap is the same for both proxies.
func (b *bench) bootstrap(t *testing.T, api string) string {
	t.Helper()
	b.admin = freePort(t)
	head := fmt.Sprintf(`node: {id: gateway-1, cluster: gateways}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
`, b.admin)
	if api == "file" {
		return head + strings.ReplaceAll(`dynamic_resources:
  cds_config: {resource_api_version: V3, path_config_source: {path: DIR/cds.json}}
  lds_config: {resource_api_version: V3, path_config_source: {path: DIR/lds.json}}
`, "DIR", b.w.file)
	}
	kind := map[string]string{"delta": "DELTA_GRPC", "sotw": "GRPC"}[api]
	if kind == "" {
		t.Fatalf("unknown setting %q", api)
	}
	return head + fmt.Sprintf(`dynamic_resources:
  ads_config:
    api_type: %s
    transport_api_version: V3
    grpc_services: [{envoy_grpc: {cluster_name: xds}}]
  cds_config: {resource_api_version: V3, ads: {}}
  lds_config: {resource_api_version: V3, ads: {}}
static_resources:
  clusters:
  - name: xds
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: xds
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]
`, kind, b.plane.addr.Port)
}
