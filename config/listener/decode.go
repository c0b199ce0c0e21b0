package listener

import (
	"crypto/sha256"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Envoy's defaults (envoy/config/listener/v3/listener.proto).
const (
	defaultFiltersTimeout = 15 * time.Second
	defaultBufferLimit    = 1 << 20
)

// Decode compiles a Listener. The error, if any, holds every mistake, each with its field path (config/fielderr).
func Decode(p *listenerv3.Listener, ctx *extension.Context) (*Listener, error) {
	var l fielderr.List
	refuse(&l, p)
	d := &Listener{
		Name:              p.GetName(),
		Addresses:         decodeAddresses(&l, p),
		Transparent:       p.GetTransparent().GetValue(),
		Freebind:          p.GetFreebind().GetValue(),
		UseOriginalDst:    p.GetUseOriginalDst().GetValue(),
		BindToPort:        fielderr.Bool(p.GetBindToPort(), fielderr.Bool(p.GetDeprecatedV1().GetBindToPort(), true)),
		ReusePort:         fielderr.Bool(p.GetEnableReusePort(), true),
		Backlog:           int(min(p.GetTcpBacklogSize().GetValue(), 1<<31-1)),
		FiltersTimeout:    l.Duration("listener_filters_timeout", p.GetListenerFiltersTimeout(), defaultFiltersTimeout),
		IgnoreLimit:       p.GetIgnoreGlobalConnLimit() || p.GetBypassOverloadManager(),
		ContinueOnTimeout: p.GetContinueOnListenerFiltersTimeout(),
		BufferLimit:       fielderr.Uint32(p.GetPerConnectionBufferLimitBytes(), defaultBufferLimit),
		StatPrefix:        p.GetStatPrefix(),
		Sniffing:          decodeSniffing(&l, p.GetMetadata()),
	}
	switch p.GetTrafficDirection() {
	case corev3.TrafficDirection_INBOUND:
		d.Direction = Inbound
	case corev3.TrafficDirection_OUTBOUND:
		d.Direction = Outbound
	}
	if len(d.Addresses) > 0 {
		first := d.Addresses[0].String()
		if d.Name == "" {
			d.Name = first
		}
		if d.StatPrefix == "" {
			d.StatPrefix = strings.ReplaceAll(first, ":", "_")
		}
	}
	d.Filters = decodeListenerFilters(&l, p, ctx)
	named := p.GetFilterChainMatcher() != nil // chains are found by name
	var sound []*FilterChain                  // whose matches could be read
	for i, p := range p.GetFilterChains() {
		at := fielderr.Index("filter_chains", i)
		f := decodeChain(&l, at, i, p, ctx)
		d.Chains = append(d.Chains, f)
		before := l.Len()
		if m := p.GetFilterChainMatch(); m != nil && !named {
			f.Match = decodeMatch(&l, at+".filter_chain_match", m)
		}
		if l.Len() == before {
			sound = append(sound, f)
		}
	}
	if f := p.GetDefaultFilterChain(); f != nil {
		d.Default = decodeChain(&l, "default_filter_chain", -1, f, ctx)
		if proto.Size(f.GetFilterChainMatch()) > 0 {
			l.Addf("default_filter_chain.filter_chain_match", "has no effect: the default chain takes what no other does")
		}
	}
	if len(d.Chains) == 0 && d.Default == nil {
		l.Addf("filter_chains", "no filter chain specified")
	}
	if named {
		d.Selector = &Selector{def: d.Default, by: decodeMatcher(&l, p, d.Chains)}
	} else {
		d.Selector = newSelector(sound, d.Default, &l)
	}
	d.AccessLog = core.DecodeAccessLogs(&l, "access_log", p.GetAccessLog(), ctx)
	if err := l.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// refuse names the fields that would make another kind of listener of this one. The support table refuses lesser ones.
func refuse(l *fielderr.List, p *listenerv3.Listener) {
	for _, f := range []struct {
		path string
		set  bool
	}{
		{"fcds_config", p.GetFcdsConfig() != nil},
		{"udp_listener_config", p.GetUdpListenerConfig() != nil},
		{"api_listener", p.GetApiListener() != nil},
		{"internal_listener", p.GetInternalListener() != nil},
	} {
		if f.set {
			l.Addf(f.path, "not supported")
		}
	}
}

func decodeChain(l *fielderr.List, at string, index int, p *listenerv3.FilterChain, ctx *extension.Context) *FilterChain {
	f := &FilterChain{
		Name:            p.GetName(),
		Index:           index,
		Filters:         decodeFilters(l, at+".filters", p.GetFilters(), ctx),
		TransportSocket: core.DecodeTransportSocket(l, at+".transport_socket", extension.TransportSocket, p.GetTransportSocket(), ctx),
		ConnectTimeout:  l.Duration(at+".transport_socket_connect_timeout", p.GetTransportSocketConnectTimeout(), 0),
		Transparent:     decodeTransparent(l, at, p.GetMetadata()),
	}
	if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(p); err == nil {
		f.sum = sha256.Sum256(b)
	}
	if p.GetUseProxyProto().GetValue() {
		l.Addf(at+".use_proxy_proto", "not supported (use the listener filter envoy.filters.listener.proxy_protocol)")
	}
	return f
}

// decodeFilters reads a chain's network filters. The last one, and no other, is terminal.
func decodeFilters(l *fielderr.List, at string, filters []*listenerv3.Filter, ctx *extension.Context) []extension.Parsed {
	var out []extension.Parsed
	for i, p := range filters {
		path := fielderr.Index(at, i)
		if d := p.GetConfigDiscovery(); d != nil {
			place := core.Before
			if i == len(filters)-1 {
				place = core.Last
			}
			out = append(out, core.Discover(l, path, extension.NetworkFilter, place, p.GetName(), d, ctx))
			continue
		}
		before := l.Len()
		f, ok := core.Parse(l, path, extension.NetworkFilter, p.GetName(), p.GetTypedConfig(), ctx)
		if !ok {
			if i == len(filters)-1 && l.Len() == before {
				l.Addf(path, "%q cannot be the last filter: it is left out", p.GetName())
			}
			continue
		}
		switch last := i == len(filters)-1; {
		case f.Factory.Terminal && !last:
			l.Addf(path, "%q (%s) ends the chain: no filter may follow", p.GetName(), f.Factory.Name)
		case !f.Factory.Terminal && last:
			l.Addf(path, "%q (%s) cannot be the last filter: it does not serve connections", p.GetName(), f.Factory.Name)
		}
		out = append(out, f)
	}
	if len(filters) == 0 {
		l.Addf(at, "empty: a chain needs at least the filter that serves its connections")
	}
	return out
}

func decodeListenerFilters(l *fielderr.List, p *listenerv3.Listener, ctx *extension.Context) []ListenerFilter {
	var out []ListenerFilter
	for i, f := range p.GetListenerFilters() {
		path := fielderr.Index("listener_filters", i)
		d := ListenerFilter{}
		if src := f.GetConfigDiscovery(); src != nil {
			d.Parsed = core.Discover(l, path, extension.ListenerFilter, core.Anywhere, f.GetName(), src, ctx)
		} else {
			before := l.Len()
			var there bool
			d.Parsed, there = core.Parse(l, path, extension.ListenerFilter, f.GetName(), f.GetTypedConfig(), ctx)
			if !there && l.Len() == before {
				continue // left out
			}
		}
		if q := f.GetFilterDisabled(); q != nil {
			d.DisabledFor = decodePredicate(l, path+".filter_disabled", 0, q)
		}
		out = append(out, d)
	}
	if p.GetUseOriginalDst().GetValue() {
		out = implied(l, "use_original_dst", originalDst, out, ctx)
	}
	if at := needsTLSInspector(p); at != "" {
		out = implied(l, at, tlsInspector, out, ctx)
	}
	return out
}

// The listener filters that Envoy adds itself when the configuration needs them and does not have them.
const (
	originalDst  = "envoy.filters.listener.original_dst"
	tlsInspector = "envoy.filters.listener.tls_inspector"
)

// needsTLSInspector gives the path of the first match that only the TLS inspector can fulfil; "" when there is none.
func needsTLSInspector(p *listenerv3.Listener) string {
	for i, f := range p.GetFilterChains() {
		m := f.GetFilterChainMatch()
		at := fielderr.Index("filter_chains", i) + ".filter_chain_match."
		switch {
		case m.GetTransportProtocol() == "tls":
			return at + "transport_protocol"
		case m.GetTransportProtocol() != "":
		case len(m.GetServerNames()) > 0:
			return at + "server_names"
		case len(m.GetApplicationProtocols()) > 0:
			return at + "application_protocols"
		}
	}
	return ""
}

// implied adds a listener filter with its defaults unless it is there. at is the field that wants it.
func implied(l *fielderr.List, at, name string, filters []ListenerFilter, ctx *extension.Context) []ListenerFilter {
	for _, f := range filters {
		if f.Factory != nil && f.Factory.Name == name {
			return filters
		}
	}
	f, ok := ctx.Registry.ByName(extension.ListenerFilter, name)
	if !ok {
		l.Addf(at, "needs the listener filter %s, which is not supported", name)
		return filters
	}
	d, err := ctx.Parse(extension.ListenerFilter, name, &anypb.Any{TypeUrl: f.TypeURL})
	l.Add(at, err)
	return append(filters, ListenerFilter{Parsed: d})
}
