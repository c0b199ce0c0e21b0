package configtest

import (
	"fmt"
	"strings"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/route"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Registry has an extension for each type URL that the scripts use. Their parse functions check the message's constraints and keep
// its text; the connection manager's also requires or decodes its route table.
func Registry() *extension.Registry {
	const (
		envoy = "type.googleapis.com/envoy.extensions."
		lb    = envoy + "load_balancing_policies."
		named = "envoy.load_balancing_policies."
	)
	table := []*extension.Factory{
		{Kind: extension.NetworkFilter, Name: "envoy.filters.network.tcp_proxy", TypeURL: envoy + "filters.network.tcp_proxy.v3.TcpProxy", Terminal: true, Parse: parseTCP},
		{
			Kind: extension.NetworkFilter, Name: "envoy.filters.network.http_connection_manager",
			TypeURL: envoy + "filters.network.http_connection_manager.v3.HttpConnectionManager", Terminal: true,
		},
		{Kind: extension.NetworkFilter, Name: "envoy.filters.network.connection_limit", TypeURL: envoy + "filters.network.connection_limit.v3.ConnectionLimit"},
		{Kind: extension.ListenerFilter, Name: "envoy.filters.listener.tls_inspector", TypeURL: envoy + "filters.listener.tls_inspector.v3.TlsInspector"},
		{Kind: extension.ListenerFilter, Name: "envoy.filters.listener.http_inspector", TypeURL: envoy + "filters.listener.http_inspector.v3.HttpInspector"},
		{Kind: extension.ListenerFilter, Name: "envoy.filters.listener.original_dst", TypeURL: envoy + "filters.listener.original_dst.v3.OriginalDst"},
		{Kind: extension.AccessLogger, Name: "envoy.access_loggers.stdout", TypeURL: envoy + "access_loggers.stream.v3.StdoutAccessLog"},
		{Kind: extension.AccessLogFilter, Name: "envoy.config.accesslog.v3.AccessLogFilter", TypeURL: "type.googleapis.com/envoy.config.accesslog.v3.AccessLogFilter"},
		{Kind: extension.TransportSocket, Name: "envoy.transport_sockets.tls", TypeURL: envoy + "transport_sockets.tls.v3.DownstreamTlsContext"},
		{Kind: extension.UpstreamTransportSocket, Name: "test.upstream_tls", TypeURL: envoy + "transport_sockets.tls.v3.UpstreamTlsContext"},
		{Kind: extension.LBPolicy, Name: named + "round_robin", TypeURL: lb + "round_robin.v3.RoundRobin"},
		{Kind: extension.LBPolicy, Name: named + "least_request", TypeURL: lb + "least_request.v3.LeastRequest"},
		{Kind: extension.LBPolicy, Name: named + "random", TypeURL: lb + "random.v3.Random"},
		{Kind: extension.LBPolicy, Name: named + "ring_hash", TypeURL: lb + "ring_hash.v3.RingHash"},
		{Kind: extension.LBPolicy, Name: named + "maglev", TypeURL: lb + "maglev.v3.Maglev"},
		{Kind: extension.LBPolicy, Name: named + "cluster_provided", TypeURL: lb + "cluster_provided.v3.ClusterProvided"},
	}
	for _, f := range table {
		switch {
		case f.Name == "envoy.filters.network.http_connection_manager":
			f.Parse = parseHCM
		case f.Parse == nil:
			f.Parse = parse
		}
	}
	return extension.NewRegistry(table)
}

// HCM stands for the connection manager's configuration: the name of its route table, or the table.
type HCM struct {
	RouteName string
	Table     *route.Table
}

// RouteTable is the inline route table, nil when it comes by RDS.
func (h *HCM) RouteTable() *route.Table { return h.Table }

func parseHCM(a *anypb.Any, ctx *extension.Context) (any, error) {
	m, err := unpack(a)
	if err != nil {
		return nil, err
	}
	h, ok := m.(*hcmv3.HttpConnectionManager)
	if !ok {
		return nil, fmt.Errorf("not a connection manager")
	}
	if r := h.GetRds(); r != nil {
		var l fielderr.List
		src := core.DecodeSource(&l, "rds.config_source", r.GetConfigSource())
		ctx.RequireFrom("type.googleapis.com/envoy.config.route.v3.RouteConfiguration", r.GetRouteConfigName(), src)
		return &HCM{RouteName: r.GetRouteConfigName()}, l.Err()
	}
	t, err := route.Decode(h.GetRouteConfig(), ctx)
	if err != nil {
		return nil, &fielderr.Error{Path: "route_config", Err: err}
	}
	return &HCM{Table: t}, nil
}

// Proxy stands for tcp_proxy's configuration.
type Proxy struct{ Cluster string }

// Clusters are the clusters it names.
func (p *Proxy) Clusters() []string { return []string{p.Cluster} }

func parseTCP(a *anypb.Any, _ *extension.Context) (any, error) {
	m, err := unpack(a)
	if err != nil {
		return nil, err
	}
	p, ok := m.(*tcpv3.TcpProxy)
	if !ok {
		return nil, fmt.Errorf("not a TCP proxy")
	}
	return &Proxy{p.GetCluster()}, nil
}

// parse keeps the text of any message.
func parse(a *anypb.Any, _ *extension.Context) (any, error) {
	m, err := unpack(a)
	if err != nil {
		return nil, err
	}
	// prototext puts in spaces at random, so that nobody relies on them.
	return strings.Join(strings.Fields(prototext.MarshalOptions{}.Format(m)), " "), nil
}

func unpack(a *anypb.Any) (proto.Message, error) {
	m, err := a.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("malformed %s", a.GetTypeUrl())
	}
	if err := fielderr.Validate(m); err != nil {
		return nil, err
	}
	return m, nil
}
