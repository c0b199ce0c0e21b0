package core

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// secretURL is the type of what RequireSecret requires.
const secretURL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// RequireSecret says that the resource being decoded needs the secret that m names, and gives the key by which the data plane finds
// it. Without sds_config the secret is one of the bootstrap's.
func RequireSecret(l *fielderr.List, path string, m *tlsv3.SdsSecretConfig, ctx *extension.Context) (key string) {
	if m.GetName() == "" {
		l.Addf(path+".name", "unset")
	}
	if m.GetSdsConfig() == nil {
		return ctx.RequireFrom(secretURL, m.GetName(), extension.Source{Static: true})
	}
	return ctx.RequireFrom(secretURL, m.GetName(), DecodeSource(l, path+".sds_config", m.GetSdsConfig()))
}

// DecodeSource reads where one resource comes from, for references that say so themselves. The zero Source is the aggregated stream.
func DecodeSource(l *fielderr.List, path string, c *corev3.ConfigSource) (src extension.Source) {
	switch k := c.GetConfigSourceSpecifier().(type) {
	case *corev3.ConfigSource_Ads, *corev3.ConfigSource_Self:
	case *corev3.ConfigSource_Path:
		src.Path = k.Path
		if k.Path == "" {
			l.Addf(path+".path", "unset")
		}
	case *corev3.ConfigSource_PathConfigSource:
		src.Path, src.Watch = k.PathConfigSource.GetPath(), k.PathConfigSource.GetWatchedDirectory().GetPath()
		if src.Path == "" {
			l.Addf(path+".path_config_source.path", "unset")
		}
	case *corev3.ConfigSource_ApiConfigSource:
		src = sourceOf(l, path+".api_config_source", k.ApiConfigSource)
	default:
		l.Addf(path, "unset (use ads, api_config_source or path_config_source)")
	}
	if t := c.GetInitialFetchTimeout(); t != nil {
		if src.FetchTimeout = l.Duration(path+".initial_fetch_timeout", t, 0); src.FetchTimeout == 0 {
			src.FetchTimeout = -1 // the field's zero is for ever
		}
	}
	src.FetchTimeout = min(src.FetchTimeout, maxFetch)
	return src
}

// maxFetch bounds initial_fetch_timeout, far beyond what the warming deadline leaves of it.
const maxFetch = 24 * time.Hour
