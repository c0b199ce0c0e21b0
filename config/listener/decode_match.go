package listener

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
)

func decodeMatch(l *fielderr.List, at string, p *listenerv3.FilterChainMatch) *Match {
	m := &Match{
		Prefixes:             decodePrefixes(l, at+".prefix_ranges", p.GetPrefixRanges()),
		ServerNames:          decodeServerNames(l, at+".server_names", p.GetServerNames()),
		TransportProtocol:    p.GetTransportProtocol(),
		DirectSourcePrefixes: decodePrefixes(l, at+".direct_source_prefix_ranges", p.GetDirectSourcePrefixRanges()),
		SourcePrefixes:       decodePrefixes(l, at+".source_prefix_ranges", p.GetSourcePrefixRanges()),
	}
	if v := p.GetDestinationPort(); v != nil {
		m.DestinationPort = port(l, at+".destination_port", v.GetValue())
	}
	switch p.GetSourceType() {
	case listenerv3.FilterChainMatch_ANY:
	case listenerv3.FilterChainMatch_SAME_IP_OR_LOOPBACK:
		m.SourceType = SameIPOrLoopback
	case listenerv3.FilterChainMatch_EXTERNAL:
		m.SourceType = External
	default:
		l.Addf(at+".source_type", "unknown value %d", p.GetSourceType())
	}
	alpns, ports := seen[string]{}, seen[uint16]{}
	for i, v := range p.GetApplicationProtocols() {
		path := fielderr.Index(at+".application_protocols", i)
		if v == "" {
			l.Addf(path, "empty")
			continue
		}
		m.ApplicationProtocols = alpns.add(l, path, m.ApplicationProtocols, v)
	}
	for i, v := range p.GetSourcePorts() {
		path := fielderr.Index(at+".source_ports", i)
		m.SourcePorts = ports.add(l, path, m.SourcePorts, port(l, path, v))
	}
	if p.GetAddressSuffix() != "" {
		l.Addf(at+".address_suffix", "not supported (Envoy does not implement it either)")
	}
	if p.GetSuffixLen() != nil {
		l.Addf(at+".suffix_len", "not supported (Envoy does not implement it either)")
	}
	return m
}

func decodePrefixes(l *fielderr.List, at string, ranges []*corev3.CidrRange) []netip.Prefix {
	var out []netip.Prefix
	got := seen[netip.Prefix]{}
	for i, r := range ranges {
		path := fielderr.Index(at, i)
		p, err := match.NewPrefix(r)
		if err != nil {
			l.Add(path, err)
			continue
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 { // connections have the IPv4 address
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		out = got.add(l, path, out, p)
	}
	return out
}

func decodeServerNames(l *fielderr.List, at string, names []string) []string {
	var out []string
	got := seen[string]{}
	for i, n := range names {
		path := fielderr.Index(at, i)
		n = strings.ToLower(n)
		switch {
		case n == "":
			l.Addf(path, "empty")
		case n == "*" || n == "*.":
			l.Addf(path, "%q takes no name (leave server_names empty to take all)", n)
		case strings.Contains(strings.TrimPrefix(n, "*."), "*"):
			l.Addf(path, "%q: a wildcard may only stand for whole labels at the front, as in *.example.com", n)
		default:
			out = got.add(l, path, out, n)
		}
	}
	return out
}

func port(l *fielderr.List, path string, v uint32) uint16 {
	if v < 1 || v > 65535 {
		l.Addf(path, "%d is not a port", v)
		return 0
	}
	return uint16(v)
}

// seen are the values of one list: Envoy refuses a match that names a value twice.
type seen[T comparable] map[T]struct{}

func (s seen[T]) add(l *fielderr.List, path string, values []T, v T) []T {
	if _, ok := s[v]; ok {
		l.Addf(path, "%v is there already", v)
		return values
	}
	s[v] = struct{}{}
	return append(values, v)
}
