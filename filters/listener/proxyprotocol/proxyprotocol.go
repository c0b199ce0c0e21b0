// Package proxyprotocol is envoy.filters.listener.proxy_protocol: it takes a PROXY
// protocol header, version 1 or 2, off the front of a connection and puts the
// addresses that it names in place of the socket's.
package proxyprotocol

import (
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/sniff"
	"github.com/weirproxy/weir/proxy/stats"
)

// config is the parsed configuration.
type config struct {
	optional   bool    // allow_requests_without_proxy_protocol
	disallowed [3]bool // by version
	statPrefix string
}

// Factory is envoy.filters.listener.proxy_protocol.
func Factory() *extension.Factory {
	return filters.NewListener("envoy.filters.listener.proxy_protocol", parse, build)
}

func parse(m *proxyv3.ProxyProtocol, _ *extension.Context) (*config, error) {
	var l fielderr.List
	c := &config{optional: m.GetAllowRequestsWithoutProxyProtocol(), statPrefix: m.GetStatPrefix()}
	if len(m.GetRules()) > 0 {
		l.Addf("rules", "not supported: values of TLVs are read by nobody")
	}
	if m.GetPassThroughTlvs() != nil {
		l.Addf("pass_through_tlvs", "not supported: no PROXY header is sent upstream")
	}
	for i, v := range m.GetDisallowedVersions() {
		switch v {
		case corev3.ProxyProtocolConfig_V1:
			c.disallowed[1] = true
		case corev3.ProxyProtocolConfig_V2:
			c.disallowed[2] = true
		default:
			l.Addf(fielderr.Index("disallowed_versions", i), "unknown version %d", v)
		}
	}
	if c.disallowed[1] && c.disallowed[2] && !c.optional {
		l.Addf("disallowed_versions", "no version is left, and a header is required: every connection would be refused")
	}
	return c, l.Err()
}

// Stats are the filter's statistics, under proxy_proto.[<stat_prefix>.] and by
// Envoy's names.
type Stats struct {
	NotFoundAllowed    *stats.Counter `stat:"not_found_allowed"`
	NotFoundDisallowed *stats.Counter `stat:"not_found_disallowed"`
	V1                 Version        `stat:"versions.v1"`
	V2                 Version        `stat:"versions.v2"`
}

// Version are the statistics of one version of the header.
type Version struct {
	Found      *stats.Counter `stat:"found"`
	Disallowed *stats.Counter `stat:"disallowed"`
	Error      *stats.Counter `stat:"error"`
}

type filter struct {
	c  *config
	st *Stats
}

func build(c *config, bc *filters.BuildContext) (any, error) {
	sc := bc.Stats.Scope("proxy_proto")
	if c.statPrefix != "" {
		sc = sc.Scope(c.statPrefix)
	}
	return &filter{c, stats.Fill[Stats](sc)}, nil
}

// NewInspection implements filters.ListenerFilter.
func (f *filter) NewInspection(*conn.Conn) filters.Inspection { return inspection{f} }

type inspection struct{ f *filter }

// Required says whether a connection may go on without a header.
func (in inspection) Required() bool { return !in.f.c.optional }

// errNoHeader is why a connection without a header is refused.
var errNoHeader = errors.New("no PROXY protocol header")

// Inspect implements filters.Inspection. A header is at most 64 KiB, and so short
// in practice that it is parsed anew when it comes in pieces.
func (in inspection) Inspect(peek []byte, c *info.Conn) (filters.Need, int, error) {
	st, cfg := in.f.st, in.f.c
	h, n, status := sniff.ParseProxy(peek)
	v := &st.V1
	if h.Version == 2 {
		v = &st.V2
	}
	switch {
	case status == sniff.More:
		return filters.Need(max(n, 1)), 0, nil
	case status == sniff.NoMatch && cfg.optional:
		st.NotFoundAllowed.Inc()
		return filters.Done, 0, nil
	case status == sniff.NoMatch:
		st.NotFoundDisallowed.Inc()
		return filters.Close, 0, errNoHeader
	case h.Version <= 2 && cfg.disallowed[h.Version]:
		v.Disallowed.Inc()
		return filters.Close, 0, fmt.Errorf("PROXY protocol version %d is disallowed", h.Version)
	case status == sniff.Bad:
		v.Error.Inc()
		return filters.Close, 0, fmt.Errorf("PROXY protocol header: %s", h.Err)
	}
	if err := adopt(&h, c); err != nil {
		v.Error.Inc()
		return filters.Close, 0, err
	}
	v.Found.Inc()
	return filters.Done, n, nil
}

// adopt puts the header's addresses in place of the socket's.
func adopt(h *sniff.ProxyHeader, c *info.Conn) error {
	if h.Local || h.Family != sniff.IPv4 && h.Family != sniff.IPv6 {
		return nil // the connection's own hold
	}
	if !h.Unicast() {
		return fmt.Errorf("PROXY protocol header: %s to %s are not addresses of a connection", h.Src, h.Dst)
	}
	c.Source, c.Dest, c.DestRestored = h.Src, h.Dst, true
	return nil
}
