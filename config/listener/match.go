package listener

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/weirproxy/weir/proxy/info"
)

// SourceType is FilterChainMatch.source_type.
type SourceType uint8

// The source types.
const (
	AnySource         SourceType = iota
	SameIPOrLoopback             // the client has the destination's address or a loopback one
	External                     // all others
	sourceTypes       = 3
	localSourceName   = "SAME_IP_OR_LOOPBACK"
	remoteSourceName  = "EXTERNAL"
	anySourceTypeName = "ANY"
)

// String gives Envoy's name.
func (s SourceType) String() string {
	switch s {
	case SameIPOrLoopback:
		return localSourceName
	case External:
		return remoteSourceName
	}
	return anySourceTypeName
}

// A Match is a compiled FilterChainMatch: which connections a filter chain takes. Empty criteria take everything.
type Match struct {
	DestinationPort      uint16         // 0 is any
	Prefixes             []netip.Prefix // of the destination, masked
	ServerNames          []string       // lower case; "*.example.com" is a suffix
	TransportProtocol    string         // "raw_buffer", "tls"
	ApplicationProtocols []string
	DirectSourcePrefixes []netip.Prefix // of the socket's peer
	SourceType           SourceType
	SourcePrefixes       []netip.Prefix // of the client
	SourcePorts          []uint16
}

// A criterion is one field of FilterChainMatch, at its place in the order in which Envoy looks at them.
type criterion struct {
	name string
	// rank says how specifically a match takes a connection: below 0 not at all, 0 because it does not ask. Two matches
	// with the same rank above 0 do it by the same value.
	rank func(*Match, *info.Conn) int
	want func(*Match) string
	got  func(*info.Conn) string
}

// criteria is Envoy's order (FilterChainMatch in envoy/config/listener/v3/listener_components.proto; Envoy looks at
// direct_source_prefix_ranges between ALPN and source_type).
func criteria() [9]criterion {
	return [9]criterion{
		{
			"destination_port",
			func(m *Match, c *info.Conn) int {
				return equal(m.DestinationPort == 0, m.DestinationPort == c.Dest.Port())
			},
			func(m *Match) string { return strconv.Itoa(int(m.DestinationPort)) },
			func(c *info.Conn) string { return strconv.Itoa(int(c.Dest.Port())) },
		},
		{
			"prefix_ranges",
			func(m *Match, c *info.Conn) int { return longest(m.Prefixes, c.Dest.Addr()) },
			func(m *Match) string { return list(m.Prefixes) },
			func(c *info.Conn) string { return address(c.Dest.Addr()) },
		},
		{
			"server_names",
			func(m *Match, c *info.Conn) int { return serverName(m.ServerNames, c.ServerName) },
			func(m *Match) string { return list(m.ServerNames) },
			func(c *info.Conn) string { return orNone(string(c.ServerName)) },
		},
		{
			"transport_protocol",
			func(m *Match, c *info.Conn) int {
				return equal(m.TransportProtocol == "", m.TransportProtocol == transport(c))
			},
			func(m *Match) string { return m.TransportProtocol },
			transport,
		},
		{
			"application_protocols",
			func(m *Match, c *info.Conn) int { return firstProtocol(m.ApplicationProtocols, c.ALPN) },
			func(m *Match) string { return list(m.ApplicationProtocols) },
			func(c *info.Conn) string { return orNone(string(bytes.Join(c.ALPN, []byte(", ")))) },
		},
		{
			"direct_source_prefix_ranges",
			func(m *Match, c *info.Conn) int { return longest(m.DirectSourcePrefixes, c.DirectSource.Addr()) },
			func(m *Match) string { return list(m.DirectSourcePrefixes) },
			func(c *info.Conn) string { return address(c.DirectSource.Addr()) },
		},
		{
			"source_type",
			func(m *Match, c *info.Conn) int {
				return equal(m.SourceType == AnySource, m.SourceType == sourceType(c))
			},
			func(m *Match) string { return m.SourceType.String() },
			func(c *info.Conn) string { return sourceType(c).String() },
		},
		{
			"source_prefix_ranges",
			func(m *Match, c *info.Conn) int { return longest(m.SourcePrefixes, c.Source.Addr()) },
			func(m *Match) string { return list(m.SourcePrefixes) },
			func(c *info.Conn) string { return address(c.Source.Addr()) },
		},
		{
			"source_ports",
			func(m *Match, c *info.Conn) int {
				if len(m.SourcePorts) == 0 {
					return 0
				}
				for _, p := range m.SourcePorts {
					if p == c.Source.Port() {
						return 1
					}
				}
				return -1
			},
			func(m *Match) string { return list(m.SourcePorts) },
			func(c *info.Conn) string { return strconv.Itoa(int(c.Source.Port())) },
		},
	}
}

func equal(anything, same bool) int {
	switch {
	case anything:
		return 0
	case same:
		return 1
	}
	return -1
}

// longest is 1 + the length of the longest prefix that holds the address.
func longest(prefixes []netip.Prefix, a netip.Addr) int {
	if len(prefixes) == 0 {
		return 0
	}
	a, best := plain(a), -1
	for _, p := range prefixes {
		if p.Contains(a) {
			best = max(best, 1+p.Bits())
		}
	}
	return best
}

// serverName ranks an exact name above every suffix, and a longer suffix above a shorter one.
func serverName(names []string, sni []byte) int {
	if len(names) == 0 {
		return 0
	}
	const exact, best = 1 << 20, -1
	rank := best
	for _, n := range names {
		switch {
		case n == string(sni):
			return exact
		case strings.HasPrefix(n, "*.") && len(sni) > len(n)-1 && bytes.HasSuffix(sni, []byte(n[1:])):
			rank = max(rank, len(n))
		}
	}
	return rank
}

// firstProtocol ranks by the client's preference: its first protocol that the chain has decides.
func firstProtocol(want []string, offered [][]byte) int {
	if len(want) == 0 {
		return 0
	}
	for i, o := range offered {
		for _, w := range want {
			if w == string(o) {
				return len(offered) - i
			}
		}
	}
	return -1
}

// transport is the detected transport protocol; what no listener filter recognised is raw_buffer.
func transport(c *info.Conn) string {
	if c.Transport == "" {
		return string(info.RawBuffer)
	}
	return string(c.Transport)
}

// sourceType is Envoy's Utility::isSameIpOrLoopback: of the loopback addresses only 127.0.0.1 and ::1 count, and a client
// without an IP address (a unix socket) is local.
func sourceType(c *info.Conn) SourceType {
	a := c.Source.Addr().Unmap().WithZone("")
	if !a.IsValid() || a == localV4() || a == netip.IPv6Loopback() || a == c.Dest.Addr().Unmap().WithZone("") {
		return SameIPOrLoopback
	}
	return External
}

func localV4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// plain is an address as prefixes are compared with it: IPv4 in its own form, without zone. What has no IP address counts as
// 255.255.255.255, as in Envoy, so that only catch-all prefixes take it.
func plain(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return a.Unmap().WithZone("")
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "no IP address"
	}
	return a.Unmap().String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// listed is how many values a message shows of a long list.
const listed = 8

func list[T any](l []T) string {
	var b strings.Builder
	for i, v := range l {
		if i == listed {
			fmt.Fprintf(&b, " and %d more", len(l)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, v)
	}
	return b.String()
}
