// Package protos is the one table of the protos that an Any in a configuration may hold.
//
// A type that is in the table can be read, checked and named even where Weir does not implement it, so "known but not
// supported" is told apart from "unknown". The packages are imported by name and not blank, so that this file shows all of
// them. Which types and fields are implemented is said by config/support.
package protos

import (
	udpatypev1 "github.com/cncf/xds/go/udpa/type/v1"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	xdstypev3 "github.com/cncf/xds/go/xds/type/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	grpccredentialv3 "github.com/envoyproxy/go-control-plane/envoy/config/grpc_credential/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	configrbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	accessloggersfilev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	filterscelv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	fluentdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/fluentd/v3"
	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	opentelemetryv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	accessloggerswasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/wasm/v3"
	internallistenerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	aggregatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/aggregate/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	clustersdynamicforwardproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	clustersoriginaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/original_dst/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	brotlicompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	brotlidecompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/decompressor/v3"
	gzipcompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	gzipdecompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/decompressor/v3"
	zstdcompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	zstddecompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/decompressor/v3"
	commonsetfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	adaptiveconcurrencyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/adaptive_concurrency/v3"
	admissioncontrolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/admission_control/v3"
	alternateprotocolscachev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/alternate_protocols_cache/v3"
	apikeyauthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/api_key_auth/v3"
	bandwidthlimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/bandwidth_limit/v3"
	basicauthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/basic_auth/v3"
	bufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cache/v3"
	cachev2v3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cache_v2/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	httpcompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	credentialinjectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	csrfv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/csrf/v3"
	customresponsev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/custom_response/v3"
	decompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/decompressor/v3"
	httpdynamicforwardproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_forward_proxy/v3"
	dynamicmodulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	httpextauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	httpfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	geoipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/geoip/v3"
	grpchttp1bridgev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_bridge/v3"
	grpcjsontranscoderv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_json_transcoder/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	grpcwebv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	httpheadermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	headertometadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_to_metadata/v3"
	healthcheckv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	iptaggingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ip_tagging/v3"
	jsontometadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/json_to_metadata/v3"
	jwtauthnv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httplocalratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	oauth2v3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/oauth2/v3"
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	httporiginalsrcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/original_src/v3"
	ratelimitquotav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rate_limit_quota/v3"
	httpratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	httpsetfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	setmetadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_metadata/v3"
	statefulsessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	httptapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/tap/v3"
	upstreamcodecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	listenerlocalratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/local_ratelimit/v3"
	listeneroriginaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	listeneroriginalsrcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_src/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	listenersetfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/set_filter_state/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	connectionlimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	directresponsev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/direct_response/v3"
	echov3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/echo/v3"
	networkextauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ext_authz/v3"
	httpconnectionmanagerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networklocalratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/local_ratelimit/v3"
	networkratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ratelimit/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	redisproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/redis_proxy/v3"
	networksetfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	sniclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_cluster/v3"
	snidynamicforwardproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	formattercelv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/cel/v3"
	formattermetadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/metadata/v3"
	reqwithoutqueryv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/health_check/event_sinks/file/v3"
	simplehttpcachev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/cache/simple_http_cache/v3"
	localresponsepolicyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/custom_response/local_response_policy/v3"
	redirectpolicyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/custom_response/redirect_policy/v3"
	earlyheadermutationheadermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	injectedcredentialsgenericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	customheaderv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/custom_header/v3"
	xffv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/xff/v3"
	cookiev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/cookie/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/header/v3"
	allowlistedroutesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/internal_redirect/allow_listed_routes/v3"
	previousroutesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/internal_redirect/previous_routes/v3"
	safecrossschemev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/internal_redirect/safe_cross_scheme/v3"
	clientsideweightedroundrobinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3"
	clusterprovidedv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/cluster_provided/v3"
	leastrequestv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	overridehostv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/override_host/v3"
	pickfirstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/pick_first/v3"
	randomv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	ringhashv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	roundrobinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	subsetv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/subset/v3"
	wrrlocalityv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/wrr_locality/v3"
	commoninputsnetworkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	sslv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/ssl/v3"
	consistenthashingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/consistent_hashing/v3"
	ipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/ip/v3"
	inputmatchersmetadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/metadata/v3"
	runtimefractionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/runtime_fraction/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	getaddrinfov3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/getaddrinfo/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	rewriteuritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/rewrite/uri_template/v3"
	uuidv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	downstreamconnectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	omitcanaryhostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/omit_canary_hosts/v3"
	omithostmetadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/omit_host_metadata/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previousprioritiesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	statsinksopentelemetryv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/stat_sinks/open_telemetry/v3"
	resourcedetectorsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/resource_detectors/v3"
	samplersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/samplers/v3"
	altsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/alts/v3"
	http11proxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/http_11_proxy/v3"
	internalupstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	transportsocketsproxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	starttlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/starttls/v3"
	transportsocketstapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tap/v3"
	tcpstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tcp_stats/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpgenericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/generic/v3"
	upstreamshttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	tcpgenericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/tcp/generic/v3"
	upstreamstcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/tcp/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
)

// Types lists an empty message of every known type. Linking this function registers them in protoregistry.GlobalTypes, which
// is where Any and TypedStruct find them.
func Types() []proto.Message {
	return []proto.Message{
		// Resources that xDS serves, and what wraps them.
		&bootstrapv3.Bootstrap{},
		&listenerv3.Listener{}, &listenerv3.FilterChain{},
		&routev3.RouteConfiguration{}, &routev3.ScopedRouteConfiguration{}, &routev3.VirtualHost{}, &routev3.FilterConfig{},
		&clusterv3.Cluster{},
		&endpointv3.ClusterLoadAssignment{}, &endpointv3.LbEndpoint{},
		&corev3.TypedExtensionConfig{},
		&discoveryv3.Resource{}, &discoveryv3.DiscoveryRequest{}, &discoveryv3.DiscoveryResponse{},
		&discoveryv3.DeltaDiscoveryRequest{}, &discoveryv3.DeltaDiscoveryResponse{},
		&runtimev3.Runtime{},
		&xdstypev3.TypedStruct{},
		&udpatypev1.TypedStruct{},

		// Listener filters.
		&httpinspectorv3.HttpInspector{},
		&listenerlocalratelimitv3.LocalRateLimit{},
		&listeneroriginaldstv3.OriginalDst{},
		&listeneroriginalsrcv3.OriginalSrc{},
		&proxyprotocolv3.ProxyProtocol{},
		&listenersetfilterstatev3.Config{},
		&tlsinspectorv3.TlsInspector{},
		&udpproxyv3.UdpProxyConfig{},

		// Network filters.
		&connectionlimitv3.ConnectionLimit{},
		&directresponsev3.Config{},
		&echov3.Echo{},
		&networkextauthzv3.ExtAuthz{},
		&httpconnectionmanagerv3.HttpConnectionManager{},
		&networklocalratelimitv3.LocalRateLimit{},
		&networkratelimitv3.RateLimit{},
		&networkrbacv3.RBAC{},
		&redisproxyv3.RedisProxy{}, &redisproxyv3.RedisProtocolOptions{},
		&networksetfilterstatev3.Config{},
		&sniclusterv3.SniCluster{},
		&snidynamicforwardproxyv3.FilterConfig{},
		&tcpproxyv3.TcpProxy{},
		&networkwasmv3.Wasm{},

		// HTTP filters and their per-route forms.
		&adaptiveconcurrencyv3.AdaptiveConcurrency{},
		&admissioncontrolv3.AdmissionControl{},
		&alternateprotocolscachev3.FilterConfig{},
		&apikeyauthv3.ApiKeyAuth{}, &apikeyauthv3.ApiKeyAuthPerRoute{},
		&bandwidthlimitv3.BandwidthLimit{},
		&basicauthv3.BasicAuth{}, &basicauthv3.BasicAuthPerRoute{},
		&bufferv3.Buffer{}, &bufferv3.BufferPerRoute{},
		&cachev3.CacheConfig{},
		&cachev2v3.CacheV2Config{},
		&compositev3.Composite{}, &compositev3.CompositePerRoute{}, &compositev3.ExecuteFilterAction{},
		&httpcompressorv3.Compressor{}, &httpcompressorv3.CompressorPerRoute{},
		&corsv3.Cors{}, &corsv3.CorsPolicy{},
		&credentialinjectorv3.CredentialInjector{},
		&csrfv3.CsrfPolicy{},
		&customresponsev3.CustomResponse{},
		&decompressorv3.Decompressor{},
		&httpdynamicforwardproxyv3.FilterConfig{}, &httpdynamicforwardproxyv3.PerRouteConfig{},
		&httpextauthzv3.ExtAuthz{}, &httpextauthzv3.ExtAuthzPerRoute{},
		&extprocv3.ExternalProcessor{}, &extprocv3.ExtProcPerRoute{},
		&dynamicmodulesv3.DynamicModuleFilter{},
		&httpfaultv3.HTTPFault{},
		&geoipv3.Geoip{},
		&grpchttp1bridgev3.Config{},
		&grpcjsontranscoderv3.GrpcJsonTranscoder{},
		&grpcstatsv3.FilterConfig{},
		&grpcwebv3.GrpcWeb{},
		&httpheadermutationv3.HeaderMutation{}, &httpheadermutationv3.HeaderMutationPerRoute{},
		&headertometadatav3.Config{},
		&healthcheckv3.HealthCheck{},
		&iptaggingv3.IPTagging{},
		&jsontometadatav3.JsonToMetadata{},
		&jwtauthnv3.JwtAuthentication{}, &jwtauthnv3.PerRouteConfig{},
		&httplocalratelimitv3.LocalRateLimit{},
		&luav3.Lua{}, &luav3.LuaPerRoute{},
		&oauth2v3.OAuth2{}, &oauth2v3.OAuth2PerRoute{},
		&ondemandv3.OnDemand{}, &ondemandv3.PerRouteConfig{},
		&httporiginalsrcv3.OriginalSrc{},
		&ratelimitquotav3.RateLimitQuotaFilterConfig{}, &ratelimitquotav3.RateLimitQuotaOverride{},
		&httpratelimitv3.RateLimit{}, &httpratelimitv3.RateLimitPerRoute{},
		&httprbacv3.RBAC{}, &httprbacv3.RBACPerRoute{},
		&routerv3.Router{},
		&httpsetfilterstatev3.Config{},
		&setmetadatav3.Config{},
		&statefulsessionv3.StatefulSession{}, &statefulsessionv3.StatefulSessionPerRoute{},
		&httptapv3.Tap{},
		&upstreamcodecv3.UpstreamCodec{},
		&httpwasmv3.Wasm{},

		// What the HTTP connection manager and its filters extend to.
		&matchingv3.ExtensionWithMatcher{}, &matchingv3.ExtensionWithMatcherPerRoute{},
		&brotlicompressorv3.Brotli{},
		&gzipcompressorv3.Gzip{},
		&zstdcompressorv3.Zstd{},
		&brotlidecompressorv3.Brotli{},
		&gzipdecompressorv3.Gzip{},
		&zstddecompressorv3.Zstd{},
		&simplehttpcachev3.SimpleHttpCacheConfig{},
		&localresponsepolicyv3.LocalResponsePolicy{},
		&redirectpolicyv3.RedirectPolicy{},
		&earlyheadermutationheadermutationv3.HeaderMutation{},
		&preservecasev3.PreserveCaseFormatterConfig{},
		&injectedcredentialsgenericv3.Generic{},
		&customheaderv3.CustomHeaderConfig{},
		&xffv3.XffConfig{},
		&cookiev3.CookieBasedSessionState{},
		&headerv3.HeaderBasedSessionState{},
		&allowlistedroutesv3.AllowListedRoutesConfig{},
		&previousroutesv3.PreviousRoutesConfig{},
		&safecrossschemev3.SafeCrossSchemeConfig{},
		&uritemplatev3.UriTemplateMatchConfig{},
		&rewriteuritemplatev3.UriTemplateRewriteConfig{},
		&uuidv3.UuidRequestIdConfig{},
		&commonsetfilterstatev3.FilterStateValue{},
		&configrbacv3.RBAC{}, &configrbacv3.Action{},

		// Matchers: the xDS matcher tree and its inputs.
		&matcherv3.Matcher{}, &matcherv3.CelMatcher{}, &matcherv3.HttpAttributesCelMatchInput{}, &matcherv3.IPMatcher{},
		&matcherv3.ServerNameMatcher{},
		&typematcherv3.HttpRequestHeaderMatchInput{}, &typematcherv3.HttpResponseHeaderMatchInput{},
		&typematcherv3.HttpResponseStatusCodeMatchInput{}, &typematcherv3.HttpResponseStatusCodeClassMatchInput{},
		&typematcherv3.HttpRequestQueryParamMatchInput{}, &typematcherv3.StringMatcher{}, &typematcherv3.RegexMatcher{},
		&commoninputsnetworkv3.ApplicationProtocolInput{}, &commoninputsnetworkv3.DestinationIPInput{},
		&commoninputsnetworkv3.DestinationPortInput{}, &commoninputsnetworkv3.DirectSourceIPInput{},
		&commoninputsnetworkv3.DynamicMetadataInput{}, &commoninputsnetworkv3.FilterStateInput{},
		&commoninputsnetworkv3.ServerNameInput{}, &commoninputsnetworkv3.SourceIPInput{},
		&commoninputsnetworkv3.SourcePortInput{}, &commoninputsnetworkv3.SourceTypeInput{},
		&commoninputsnetworkv3.TransportProtocolInput{},
		&sslv3.DnsSanInput{}, &sslv3.SubjectInput{}, &sslv3.UriSanInput{},
		&ipv3.Ip{},
		&inputmatchersmetadatav3.Metadata{},
		&runtimefractionv3.RuntimeFraction{},
		&consistenthashingv3.ConsistentHashing{},

		// Clusters, load balancing, retry, upstream protocols.
		&aggregatev3.ClusterConfig{},
		&dnsv3.DnsCluster{},
		&clustersdynamicforwardproxyv3.ClusterConfig{},
		&clustersoriginaldstv3.OriginalDstCluster{},
		&clientsideweightedroundrobinv3.ClientSideWeightedRoundRobin{},
		&clusterprovidedv3.ClusterProvided{},
		&leastrequestv3.LeastRequest{},
		&maglevv3.Maglev{},
		&overridehostv3.OverrideHost{},
		&pickfirstv3.PickFirst{},
		&randomv3.Random{},
		&ringhashv3.RingHash{},
		&roundrobinv3.RoundRobin{},
		&subsetv3.Subset{},
		&wrrlocalityv3.WrrLocality{},
		&filev3.HealthCheckEventFileSink{},
		&caresv3.CaresDnsResolverConfig{},
		&getaddrinfov3.GetAddrInfoDnsResolverConfig{},
		&omitcanaryhostsv3.OmitCanaryHostsPredicate{},
		&omithostmetadatav3.OmitHostMetadataConfig{},
		&previoushostsv3.PreviousHostsPredicate{},
		&previousprioritiesv3.PreviousPrioritiesConfig{},
		&httpgenericv3.GenericConnectionPoolProto{},
		&upstreamshttpv3.HttpProtocolOptions{},
		&tcpgenericv3.GenericConnectionPoolProto{},
		&upstreamstcpv3.TcpProtocolOptions{},

		// Transport sockets and secrets.
		&altsv3.Alts{},
		&http11proxyv3.Http11ProxyUpstreamTransport{},
		&internalupstreamv3.InternalUpstreamTransport{},
		&transportsocketsproxyprotocolv3.ProxyProtocolUpstreamTransport{},
		&quicv3.QuicDownstreamTransport{}, &quicv3.QuicUpstreamTransport{},
		&rawbufferv3.RawBuffer{},
		&starttlsv3.StartTlsConfig{}, &starttlsv3.UpstreamStartTlsConfig{},
		&transportsocketstapv3.Tap{},
		&tcpstatsv3.Config{},
		&tlsv3.DownstreamTlsContext{}, &tlsv3.UpstreamTlsContext{}, &tlsv3.Secret{}, &tlsv3.SPIFFECertValidatorConfig{},

		// Access logs, tracing, statistics, overload.
		&accessloggersfilev3.FileAccessLog{},
		&filterscelv3.ExpressionFilter{},
		&fluentdv3.FluentdAccessLogConfig{},
		&grpcv3.HttpGrpcAccessLogConfig{}, &grpcv3.TcpGrpcAccessLogConfig{},
		&opentelemetryv3.OpenTelemetryAccessLogConfig{},
		&streamv3.StdoutAccessLog{}, &streamv3.StderrAccessLog{},
		&accessloggerswasmv3.WasmAccessLog{},
		&formattercelv3.Cel{},
		&formattermetadatav3.Metadata{},
		&reqwithoutqueryv3.ReqWithoutQuery{},
		&tracev3.DatadogConfig{}, &tracev3.OpenTelemetryConfig{}, &tracev3.SkyWalkingConfig{}, &tracev3.XRayConfig{},
		&tracev3.ZipkinConfig{},
		&resourcedetectorsv3.EnvironmentResourceDetectorConfig{}, &resourcedetectorsv3.StaticConfigResourceDetectorConfig{},
		&samplersv3.AlwaysOnSamplerConfig{}, &samplersv3.ParentBasedSamplerConfig{}, &samplersv3.TraceIdRatioBasedSamplerConfig{},
		&metricsv3.DogStatsdSink{}, &metricsv3.HystrixSink{}, &metricsv3.MetricsServiceConfig{}, &metricsv3.StatsdSink{},
		&statsinksopentelemetryv3.SinkConfig{},
		&downstreamconnectionsv3.DownstreamConnectionsConfig{},
		&fixedheapv3.FixedHeapConfig{},
		&internallistenerv3.InternalListener{},
		&overloadv3.ScaleTimersOverloadActionConfig{},
		&grpccredentialv3.FileBasedMetadataConfig{},
	}
}
