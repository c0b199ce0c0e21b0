package rig

import "strings"

// types are short names for what every configuration repeats.
var types = strings.NewReplacer(
	"$hcm", `"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
	"$tcp_proxy", `"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`,
	"$connection_limit", `"@type": type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit`,
	"$direct_response", `"@type": type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config`,
	"$network_local_ratelimit", `"@type": type.googleapis.com/envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit`,
	"$router", `{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}`,
	"$original_dst", `{name: original_dst, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}`,
	"$original_src", `{name: original_src, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc}}`,
	"$tls_inspector", `{name: tls_inspector, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}`,
	"$http_inspector", `{name: http_inspector, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector}}`,
	"$file_log", `"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog`,
	"$downstream_tls", `"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
	"$upstream_tls", `"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
	"$http_protocol_options", `"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions`,
	"$Listener", `"@type": type.googleapis.com/envoy.config.listener.v3.Listener`,
	"$Routes", `"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration`,
	"$Cluster", `"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster`,
	"$Endpoints", `"@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment`,
	"$loopback", `socket_address: {address: 127.0.0.1, port_value: 0}`,
)

// Expand replaces the short names, such as $hcm and $router, in a configuration.
func Expand(text string) string { return types.Replace(text) }
