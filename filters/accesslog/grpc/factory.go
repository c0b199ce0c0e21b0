// Package grpc is envoy.access_loggers.http_grpc and envoy.access_loggers.tcp_grpc: entries go to an access log service (ALS) in
// batches, over one stream for each logger. Making an entry allocates; sending it happens elsewhere, and never makes a request wait.
package grpc

import (
	"time"

	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/header"
)

// HTTPFactory is envoy.access_loggers.http_grpc.
func HTTPFactory() *extension.Factory {
	return filters.NewAccessLogger("envoy.access_loggers.http_grpc", parseHTTP, build)
}

// TCPFactory is envoy.access_loggers.tcp_grpc.
func TCPFactory() *extension.Factory {
	return filters.NewAccessLogger("envoy.access_loggers.tcp_grpc", parseTCP, build)
}

// settings are a parsed configuration.
type settings struct {
	name     string
	service  core.Service
	interval time.Duration // between sends; 0 is at once
	size     int           // bytes that are gathered, about; 0 is none

	// of the headers to log besides, for http_grpc
	request, response, trailers []header.Name
}

// Envoy's defaults.
const (
	defaultInterval = time.Second
	defaultSize     = 16 << 10
)

func parseHTTP(m *grpcv3.HttpGrpcAccessLogConfig, _ *extension.Context) (*settings, error) {
	var l fielderr.List
	c := parseCommon(&l, m.GetCommonConfig())
	c.request, c.response = names(m.GetAdditionalRequestHeadersToLog()), names(m.GetAdditionalResponseHeadersToLog())
	c.trailers = names(m.GetAdditionalResponseTrailersToLog())
	return c, l.Err()
}

func parseTCP(m *grpcv3.TcpGrpcAccessLogConfig, _ *extension.Context) (*settings, error) {
	var l fielderr.List
	return parseCommon(&l, m.GetCommonConfig()), l.Err()
}

func parseCommon(l *fielderr.List, m *grpcv3.CommonGrpcAccessLogConfig) *settings {
	const at = "common_config"
	c := &settings{name: m.GetLogName(), size: defaultSize}
	if m == nil {
		l.Addf(at, "unset")
		return c
	}
	if m.GetLogName() == "" {
		l.Addf(at+".log_name", "unset")
	}
	if m.GetGrpcService() == nil {
		l.Addf(at+".grpc_service", "unset")
	} else if c.service = core.DecodeService(l, at+".grpc_service", m.GetGrpcService()); c.service.Google != nil {
		l.Addf(at+".grpc_service.google_grpc", "not supported for access logs (use envoy_grpc)")
	}
	c.interval = l.PositiveDuration(at+".buffer_flush_interval", m.GetBufferFlushInterval(), defaultInterval)
	if b := m.GetBufferSizeBytes(); b != nil {
		c.size = int(b.GetValue())
	}
	return c
}

func names(list []string) (out []header.Name) {
	for _, n := range list {
		out = append(out, header.Intern(n))
	}
	return out
}

func build(c *settings, bc *filters.BuildContext) (any, error) { return newLogger(c, bc), nil }
