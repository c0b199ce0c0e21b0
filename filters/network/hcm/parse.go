package hcm

import (
	"errors"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/hcm"
)

// Defaults that Envoy documents for the connection manager.
const (
	defaultIdle         = time.Hour
	defaultStreamIdle   = 5 * time.Minute
	defaultDelayedClose = time.Second
	defaultHeadKB       = 60
	defaultServerName   = "weir" // Envoy's own default is its own name
)

// parse turns the message into the model; the error has every mistake with its
// path.
func parse(m *hcmv3.HttpConnectionManager, ctx *extension.Context) (*hcm.Config, error) {
	var l fielderr.List
	c := &hcm.Config{
		StatPrefix:                   m.StatPrefix,
		ServerName:                   m.ServerName,
		Via:                          m.Via,
		UseRemoteAddress:             fielderr.Bool(m.UseRemoteAddress, false),
		TrustedHops:                  m.XffNumTrustedHops,
		SkipXFFAppend:                m.SkipXffAppend,
		GenerateRequestID:            fielderr.Bool(m.GenerateRequestId, true),
		PreserveExternalRequestID:    m.PreserveExternalRequestId,
		AlwaysSetRequestIDInResponse: m.AlwaysSetRequestIdInResponse,
		NormalizePath:                fielderr.Bool(m.NormalizePath, false),
		MergeSlashes:                 m.MergeSlashes,
		StripMatchingPort:            m.StripMatchingHostPort,
		StripAnyPort:                 m.GetStripAnyHostPort(),
		StripTrailingDot:             m.StripTrailingHostDot,
		Proxy100Continue:             m.Proxy_100Continue,
		StreamIdle:                   l.Duration("stream_idle_timeout", m.StreamIdleTimeout, defaultStreamIdle),
		RequestTimeout:               l.Duration("request_timeout", m.RequestTimeout, 0),
		DelayedClose:                 l.Duration("delayed_close_timeout", m.DelayedCloseTimeout, defaultDelayedClose),
		HeadersTimeout:               l.Duration("request_headers_timeout", m.RequestHeadersTimeout, 0),
	}
	if c.ServerName == "" {
		c.ServerName = defaultServerName
	}
	enums(&l, c, m)
	clientCert(&l, c, m)
	protocols(&l, c, m)
	routes(&l, c, m, ctx)
	chain(&l, c, m, ctx)
	upgrades(&l, c, m)
	c.AccessLog = core.DecodeAccessLogs(&l, "access_log", m.AccessLog, ctx)
	internal(&l, c, m)
	if err := l.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func enums(l *fielderr.List, c *hcm.Config, m *hcmv3.HttpConnectionManager) {
	switch m.CodecType {
	case hcmv3.HttpConnectionManager_AUTO:
		c.Codec = hcm.Auto
	case hcmv3.HttpConnectionManager_HTTP1:
		c.Codec = hcm.HTTP1
	case hcmv3.HttpConnectionManager_HTTP2:
		c.Codec = hcm.HTTP2
	default:
		l.Addf("codec_type", "%s is not supported (supported: AUTO, HTTP1, HTTP2)", m.CodecType)
	}
	switch m.ServerHeaderTransformation {
	case hcmv3.HttpConnectionManager_APPEND_IF_ABSENT:
		c.ServerHeader = hcm.AppendIfAbsent
	case hcmv3.HttpConnectionManager_PASS_THROUGH:
		c.ServerHeader = hcm.PassThrough
	}
	switch m.PathWithEscapedSlashesAction {
	case hcmv3.HttpConnectionManager_REJECT_REQUEST:
		c.EscapedSlashes = hcm.RejectEscaped
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT:
		c.EscapedSlashes = hcm.UnescapeAndRedirect
	case hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD:
		c.EscapedSlashes = hcm.UnescapeAndForward
	}
	if s, ok := m.GetSchemeHeaderTransformation().GetTransformation().(*corev3.SchemeHeaderTransformation_SchemeToOverwrite); ok {
		c.SchemeToOverwrite = s.SchemeToOverwrite
	}
}

// protocols takes common_http_protocol_options and those of either protocol.
func protocols(l *fielderr.List, c *hcm.Config, m *hcmv3.HttpConnectionManager) {
	o := m.CommonHttpProtocolOptions
	c.IdleTimeout = l.Duration("common_http_protocol_options.idle_timeout", o.GetIdleTimeout(), defaultIdle)
	c.MaxConnDuration = l.Duration("common_http_protocol_options.max_connection_duration", o.GetMaxConnectionDuration(), 0)
	c.MaxStreamDuration = l.Duration("common_http_protocol_options.max_stream_duration", o.GetMaxStreamDuration(), 0)
	c.MaxRequestsPerConn = fielderr.Uint32(o.GetMaxRequestsPerConnection(), 0)
	c.Rules.MaxFields = int(fielderr.Uint32(o.GetMaxHeadersCount(), 100))
	c.Rules.MaxHead = int(fielderr.Uint32(m.MaxRequestHeadersKb, defaultHeadKB)) << 10
	switch o.GetHeadersWithUnderscoresAction() {
	case corev3.HttpProtocolOptions_REJECT_REQUEST:
		c.Rules.Underscores = h1.RejectUnderscores
	case corev3.HttpProtocolOptions_DROP_HEADER:
		c.Rules.Underscores = h1.DropUnderscores
	}
	h := m.HttpProtocolOptions
	c.Rules.AcceptHTTP10 = h.GetAcceptHttp_10()
	c.Rules.DefaultHost = h.GetDefaultHostForHttp_10()
	c.Rules.AllowChunkedLength = h.GetAllowChunkedLength()
	c.HTTP2 = core.DecodeHTTP2(l, "http2_protocol_options", m.Http2ProtocolOptions)
	if !c.HTTP2.StreamErrorSet {
		c.HTTP2.StreamError = c.HTTP2.StreamError || m.GetStreamErrorOnInvalidHttpMessage().GetValue()
	}
}

// chain parses http_filters: the last, and only the last, ends the chain.
func chain(l *fielderr.List, c *hcm.Config, m *hcmv3.HttpConnectionManager, ctx *extension.Context) {
	if len(m.HttpFilters) == 0 {
		l.Addf("http_filters", "unset; the last must be a terminal filter such as envoy.filters.http.router")
	}
	seen := map[string]bool{}
	for i, f := range m.HttpFilters {
		path := fielderr.Index("http_filters", i)
		if seen[f.Name] {
			l.Addf(path+".name", "%q is used twice", f.Name)
		}
		seen[f.Name] = true
		if d := f.GetConfigDiscovery(); d != nil {
			c.Filters = append(c.Filters, discovered(l, path, f, d, i == len(m.HttpFilters)-1, ctx))
			continue
		}
		p, err := ctx.Parse(extension.HTTPFilter, f.Name, f.GetTypedConfig())
		if err != nil {
			if f.IsOptional && errors.Is(err, extension.ErrUnknown) || errors.Is(err, extension.ErrLeftOut) {
				if i == len(m.HttpFilters)-1 {
					l.Addf(path, "the last filter must end the chain, and %q is left out", f.Name)
				}
				continue
			}
			l.Add(path, err)
			continue
		}
		p.Disabled = f.Disabled
		switch last := i == len(m.HttpFilters)-1; {
		case p.Factory.Terminal && !last:
			l.Addf(path, "%q ends the chain and must be the last filter", f.Name)
		case !p.Factory.Terminal && last:
			l.Addf(path, "the last filter must end the chain, as envoy.filters.http.router does; %q does not", f.Name)
		case p.Factory.Terminal && f.Disabled:
			l.Addf(path+".disabled", "the filter that ends the chain cannot be disabled")
		}
		c.Filters = append(c.Filters, p)
	}
}

// discovered is a filter whose configuration comes by itself.
func discovered(l *fielderr.List, path string, f *hcmv3.HttpFilter, d *corev3.ExtensionConfigSource, last bool, ctx *extension.Context) extension.Parsed {
	at := core.Before
	if last {
		at = core.Last
	}
	if last && f.Disabled {
		l.Addf(path+".disabled", "the filter that ends the chain cannot be disabled")
	}
	p := core.Discover(l, path, extension.HTTPFilter, at, f.Name, d, ctx)
	p.Disabled = f.Disabled
	return p
}

func upgrades(l *fielderr.List, c *hcm.Config, m *hcmv3.HttpConnectionManager) {
	for i, u := range m.UpgradeConfigs {
		if len(u.Filters) > 0 {
			l.Addf(fielderr.Index("upgrade_configs", i)+".filters", "not supported")
		}
		if strings.EqualFold(u.UpgradeType, "connect-udp") {
			l.Addf(fielderr.Index("upgrade_configs", i)+".upgrade_type", "CONNECT-UDP is not supported")
		}
		c.Upgrades = append(c.Upgrades, route.Upgrade{
			Type: strings.ToLower(u.UpgradeType), Enabled: fielderr.Bool(u.Enabled, true),
		})
	}
}

// internal takes internal_address_config. When it is not set, nobody is internal
// (Envoy since 1.33: explicit_internal_address_config).
func internal(l *fielderr.List, c *hcm.Config, m *hcmv3.HttpConnectionManager) {
	for i, r := range m.InternalAddressConfig.GetCidrRanges() {
		p, err := match.NewPrefix(r)
		if err != nil {
			l.Add(fielderr.Index("internal_address_config.cidr_ranges", i), err)
			continue
		}
		c.InternalNets = append(c.InternalNets, p)
	}
}
