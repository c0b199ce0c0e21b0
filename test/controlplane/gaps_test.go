package controlplane

import (
	"fmt"
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// sources are the config sources of the driver's modes (pkg/test/resource: configSource).
var sources = map[string]string{
	"ads":       "{ads: {}}",
	"delta-ads": "{ads: {}}",
	"xds":       "{api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds_cluster}}]}}",
	"delta":     "{api_config_source: {api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds_cluster}}]}}",
	"rest":      "{api_config_source: {api_type: REST, transport_api_version: V3, cluster_names: [xds_cluster], refresh_delay: 0.5s}}",
}

// gaps leaves out the listeners of the driver whose kind of discovery is refused with the sources of a mode, and says why.
func gaps(t *testing.T, mode string) (args []string) {
	t.Helper()
	scoped := fmt.Sprintf(`
"@type": type.googleapis.com/envoy.config.listener.v3.Listener
name: scoped
address: {socket_address: {address: 127.0.0.1, port_value: 9000}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: http
      scoped_routes:
        name: s
        scope_key_builder: {fragments: [{header_value_extractor: {name: Host, index: 0}}]}
        rds_config_source: %[1]s
        scoped_rds: {scoped_rds_config_source: %[1]s}
      http_filters: [{name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
`, sources[mode])
	if err := decode(scoped); err != nil {
		t.Logf("left out: scoped routes: %v", err)
		args = append(args, "-scopedhttp=0")
	}
	if mode != "delta" { // the driver has them there only
		return args
	}
	hosts := fmt.Sprintf("\"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\nname: r\nvhds: {config_source: %s}\n", sources[mode])
	if err := decode(hosts); err != nil {
		t.Logf("left out: virtual hosts by themselves: %v", err)
		args = append(args, "-vhdshttp=0")
	}
	return args
}

// decode reads a resource as one that came by discovery.
func decode(text string) error {
	rs, err := yamlproto.UnmarshalResources([]byte(text), yamlproto.Options{})
	if err != nil {
		return err
	}
	d := &config.Decoder{Registry: extension.NewRegistry(builtin.Filters(), lb.Policies()), Mode: support.Degrade}
	a := rs[0].Any
	_, err = d.Decode(a.GetTypeUrl(), a, false)
	return err
}
