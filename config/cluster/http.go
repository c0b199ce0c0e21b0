package cluster

import (
	"maps"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	// HTTPOptionsName is the key of typed_extension_protocol_options for HttpProtocolOptions.
	HTTPOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

	defaultIdleTimeout         = time.Hour
	defaultMaxResponseHeaderKB = 60
	defaultMaxHeaders          = 100
	noHTTP3                    = "HTTP/3 to upstreams is not supported"
)

// decodeHTTP reads the upstream protocol options: HttpProtocolOptions, and without it the cluster's deprecated fields, which Envoy
// ignores beside it.
func decodeHTTP(l *fielderr.List, p *clusterv3.Cluster) HTTPOptions {
	d := HTTPOptions{H2: core.DefaultHTTP2(), IdleTimeout: defaultIdleTimeout, MaxResponseHeaderKB: defaultMaxResponseHeaderKB, MaxHeaders: defaultMaxHeaders}
	typed := p.GetTypedExtensionProtocolOptions()
	for _, k := range slices.Sorted(maps.Keys(typed)) {
		if k != HTTPOptionsName && k != BreakerName {
			l.Addf(fielderr.Key("typed_extension_protocol_options", k), "not supported (supported: %s, %s)", HTTPOptionsName, BreakerName)
		}
	}
	if a := typed[HTTPOptionsName]; a != nil {
		decodeTypedHTTP(l, fielderr.Key("typed_extension_protocol_options", HTTPOptionsName), &d, a)
		return d
	}
	d.H2 = core.DecodeHTTP2(l, "http2_protocol_options", p.GetHttp2ProtocolOptions())
	switch {
	case p.GetProtocolSelection() == clusterv3.Cluster_USE_DOWNSTREAM_PROTOCOL:
		d.Protocol = LikeDownstream
	case p.GetHttp2ProtocolOptions() != nil:
		d.Protocol = HTTP2
	}
	commonOptions(l, "common_http_protocol_options", &d, p.GetCommonHttpProtocolOptions())
	if v := p.GetMaxRequestsPerConnection(); v != nil {
		d.MaxRequestsPerConn = v.GetValue()
	}
	upstreamOptions(l, "upstream_http_protocol_options", &d, p.GetUpstreamHttpProtocolOptions())
	return d
}

func decodeTypedHTTP(l *fielderr.List, at string, d *HTTPOptions, a *anypb.Any) {
	var o httpv3.HttpProtocolOptions
	if !a.MessageIs(&o) {
		l.Addf(at, "type %s, want HttpProtocolOptions", a.GetTypeUrl())
		return
	}
	if err := a.UnmarshalTo(&o); err != nil {
		l.Addf(at, "malformed HttpProtocolOptions")
		return
	}
	switch u := o.GetUpstreamProtocolOptions().(type) {
	case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_:
		switch p := u.ExplicitHttpConfig.GetProtocolConfig().(type) {
		case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions:
		case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions:
			d.Protocol = HTTP2
			d.H2 = core.DecodeHTTP2(l, at+".explicit_http_config.http2_protocol_options", p.Http2ProtocolOptions)
		case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http3ProtocolOptions:
			l.Addf(at+".explicit_http_config.http3_protocol_options", noHTTP3)
		default:
			l.Addf(at+".explicit_http_config.protocol_config", "unset")
		}
	case *httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig:
		d.Protocol = LikeDownstream
		d.H2 = core.DecodeHTTP2(l, at+".use_downstream_protocol_config.http2_protocol_options", u.UseDownstreamProtocolConfig.GetHttp2ProtocolOptions())
		if u.UseDownstreamProtocolConfig.GetHttp3ProtocolOptions() != nil {
			l.Addf(at+".use_downstream_protocol_config.http3_protocol_options", noHTTP3)
		}
	case *httpv3.HttpProtocolOptions_AutoConfig:
		d.Protocol = ByALPN
		d.H2 = core.DecodeHTTP2(l, at+".auto_config.http2_protocol_options", u.AutoConfig.GetHttp2ProtocolOptions())
		if u.AutoConfig.GetHttp3ProtocolOptions() != nil {
			l.Addf(at+".auto_config.http3_protocol_options", noHTTP3)
		}
	default:
		l.Addf(at+".upstream_protocol_options", "unset")
	}
	commonOptions(l, at+".common_http_protocol_options", d, o.GetCommonHttpProtocolOptions())
	upstreamOptions(l, at+".upstream_http_protocol_options", d, o.GetUpstreamHttpProtocolOptions())
	if len(o.GetHttpFilters()) > 0 {
		l.Addf(at+".http_filters", "not supported")
	}
}

func commonOptions(l *fielderr.List, at string, d *HTTPOptions, c *corev3.HttpProtocolOptions) {
	d.IdleTimeout = l.Duration(at+".idle_timeout", c.GetIdleTimeout(), defaultIdleTimeout)
	d.MaxConnDuration = l.Duration(at+".max_connection_duration", c.GetMaxConnectionDuration(), 0)
	d.MaxStreamDuration = l.Duration(at+".max_stream_duration", c.GetMaxStreamDuration(), 0)
	d.MaxRequestsPerConn = c.GetMaxRequestsPerConnection().GetValue()
	d.MaxResponseHeaderKB = fielderr.Uint32(c.GetMaxResponseHeadersKb(), defaultMaxResponseHeaderKB)
	d.MaxHeaders = fielderr.Uint32(c.GetMaxHeadersCount(), defaultMaxHeaders)
}

// upstreamOptions reads what concerns TLS to the host; the checks of its certificate are left to the transport socket.
func upstreamOptions(l *fielderr.List, at string, d *HTTPOptions, u *corev3.UpstreamHttpProtocolOptions) {
	d.AutoSNI = u.GetAutoSni()
	d.AutoSAN = u.GetAutoSanValidation()
	if u.GetOverrideAutoSniHeader() != "" {
		l.Addf(at+".override_auto_sni_header", "not supported")
	}
}
