package configtest

import (
	"fmt"
	"strings"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
)

// Registry has an extension for each type URL that the scripts use. Its parse functions check the message's constraints and keep
// its text.
func Registry() *extension.Registry {
	const (
		envoy = "type.googleapis.com/envoy.extensions."
		lb    = envoy + "load_balancing_policies."
		named = "envoy.load_balancing_policies."
	)
	table := []*extension.Factory{
		{Kind: extension.NetworkFilter, Name: "envoy.filters.network.tcp_proxy", TypeURL: envoy + "filters.network.tcp_proxy.v3.TcpProxy", Terminal: true},
		{Kind: extension.NetworkFilter, Name: "envoy.filters.network.http_connection_manager",
			TypeURL: envoy + "filters.network.http_connection_manager.v3.HttpConnectionManager", Terminal: true},
		{Kind: extension.NetworkFilter, Name: "envoy.filters.network.connection_limit", TypeURL: envoy + "filters.network.connection_limit.v3.ConnectionLimit"},
		{Kind: extension.ListenerFilter, Name: "envoy.filters.listener.tls_inspector", TypeURL: envoy + "filters.listener.tls_inspector.v3.TlsInspector"},
		{Kind: extension.ListenerFilter, Name: "envoy.filters.listener.http_inspector", TypeURL: envoy + "filters.listener.http_inspector.v3.HttpInspector"},
		{Kind: extension.ListenerFilter, Name: "envoy.filters.listener.original_dst", TypeURL: envoy + "filters.listener.original_dst.v3.OriginalDst"},
		{Kind: extension.AccessLogger, Name: "envoy.access_loggers.stdout", TypeURL: envoy + "access_loggers.stream.v3.StdoutAccessLog"},
		{Kind: extension.TransportSocket, Name: "envoy.transport_sockets.tls", TypeURL: envoy + "transport_sockets.tls.v3.DownstreamTlsContext"},
		{Kind: extension.TransportSocket, Name: "test.upstream_tls", TypeURL: envoy + "transport_sockets.tls.v3.UpstreamTlsContext"},
		{Kind: extension.LBPolicy, Name: named + "round_robin", TypeURL: lb + "round_robin.v3.RoundRobin"},
		{Kind: extension.LBPolicy, Name: named + "least_request", TypeURL: lb + "least_request.v3.LeastRequest"},
		{Kind: extension.LBPolicy, Name: named + "random", TypeURL: lb + "random.v3.Random"},
		{Kind: extension.LBPolicy, Name: named + "ring_hash", TypeURL: lb + "ring_hash.v3.RingHash"},
		{Kind: extension.LBPolicy, Name: named + "maglev", TypeURL: lb + "maglev.v3.Maglev"},
		{Kind: extension.LBPolicy, Name: named + "cluster_provided", TypeURL: lb + "cluster_provided.v3.ClusterProvided"},
	}
	for _, f := range table {
		f.Parse = parse
	}
	return extension.NewRegistry(table)
}

func parse(a *anypb.Any, _ *extension.Context) (any, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByURL(a.GetTypeUrl())
	if err != nil {
		return nil, err
	}
	m := t.New().Interface()
	if err := a.UnmarshalTo(m); err != nil {
		return nil, fmt.Errorf("malformed %s", m.ProtoReflect().Descriptor().FullName())
	}
	if err := fielderr.Validate(m); err != nil {
		return nil, err
	}
	// prototext is unstable on purpose: it puts in spaces at random.
	return strings.Join(strings.Fields(prototext.MarshalOptions{}.Format(m)), " "), nil
}
