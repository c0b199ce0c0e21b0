package core

import (
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// ExtensionURL is the type of what ExtensionConfigSource refers to.
const ExtensionURL = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"

// Place is where in a chain of filters one stands: the last, and only the last, ends the chain.
type Place uint8

// The places. Listener filters may stand anywhere.
const (
	Anywhere Place = iota
	Before
	Last
)

// takes says of an extension that it may stand at the place.
func (at Place) takes(f *extension.Factory) bool { return at == Anywhere || f.Terminal == (at == Last) }

// Discover reads config_discovery at path. The configurations that may come are those of type_urls that may stand at the place
// (Envoy checks the place when they come).
func Discover(l *fielderr.List, path string, k extension.Kind, at Place, name string, m *corev3.ExtensionConfigSource, ctx *extension.Context) extension.Parsed {
	d := &extension.Discovery{Resource: name}
	if name == "" {
		l.Addf(fielderr.Join(path, "name"), "unset: it names the resource of config_discovery")
	}
	path += ".config_discovery"
	if len(m.GetTypeUrls()) == 0 {
		l.Addf(path+".type_urls", "empty")
	}
	known := 0
	for i, u := range m.GetTypeUrls() {
		f, ok := ctx.Registry.ByType(k, u)
		if !ok {
			l.Addf(fielderr.Index(path+".type_urls", i), "%s: %v %s", k, extension.ErrUnknown, u)
			continue
		}
		if known++; at.takes(f) {
			d.TypeURLs = append(d.TypeURLs, u)
		}
	}
	switch {
	case len(d.TypeURLs) > 0 || known == 0:
	case at == Last:
		l.Addf(path+".type_urls", "the last filter must end the chain, and none of these does")
	default:
		l.Addf(path+".type_urls", "all of these end the chain and must be the last filter")
	}
	if m.GetDefaultConfig() != nil {
		if p, ok := Parse(l, path+".default_config", k, name, m.GetDefaultConfig(), ctx); ok {
			if !d.Takes(&p) {
				l.Addf(path+".default_config", "%s is not among type_urls, or not for this place", p.Factory.TypeURL)
			}
			d.Default = &p
		}
	}
	now := m.GetApplyDefaultConfigWithoutWarming()
	if now && m.GetDefaultConfig() == nil {
		l.Addf(path+".apply_default_config_without_warming", "set without default_config")
	}
	r := extension.Ref{TypeURL: ExtensionURL, Name: name, Types: extension.JoinTypes(d.TypeURLs), Late: now}
	if r.Source = DecodeSource(l, path+".config_source", m.GetConfigSource()); name != "" {
		d.Key = ctx.RequireRef(r)
	}
	return extension.Discovered(k, name, d)
}

// DecodeExtension reads what config_discovery refers to: a filter of any kind, which its type tells.
func DecodeExtension(m *corev3.TypedExtensionConfig, ctx *extension.Context) (*extension.Parsed, error) {
	cfg := m.GetTypedConfig()
	for _, k := range []extension.Kind{extension.HTTPFilter, extension.NetworkFilter, extension.ListenerFilter} {
		if _, ok := ctx.Registry.ByType(k, cfg.GetTypeUrl()); ok {
			p, err := ctx.Parse(k, m.GetName(), cfg)
			return &p, err
		}
	}
	if cfg == nil {
		return nil, &fielderr.Error{Path: "typed_config", Err: errors.New("unset")}
	}
	return nil, &fielderr.Error{Path: "typed_config", Err: fmt.Errorf("%w %s", extension.ErrUnknown, cfg.GetTypeUrl())}
}
