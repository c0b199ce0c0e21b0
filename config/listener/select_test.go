package listener_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/info"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts give into testdata")

// TestSelect runs the scripts of testdata/select: blocks of commands, "----", and what they give, with empty lines between.
//
//	chain NAME [port= dst= sni= transport= alpn= direct= source= src= sport=]   adds a filter chain ("-" has no name)
//	default NAME                                                                adds the default chain
//	conn [dst= sni= transport= alpn= direct= src=]                              selects: the chain, or the nearest
//	explain …                                                                   the same with the trace
func TestSelect(t *testing.T) {
	files, err := filepath.Glob("testdata/select/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func runScript(t *testing.T, text string) string {
	var out strings.Builder
	var l *listener.Listener
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block+"\n", "----\n")
		p := emptyListener()
		var result strings.Builder
		for _, line := range strings.Split(strings.TrimSpace(commands), "\n") {
			words := strings.Fields(line)
			if len(words) == 0 || words[0][0] == '#' {
				continue
			}
			switch words[0] {
			case "chain":
				p.FilterChains = append(p.FilterChains, scriptChain(t, words[1], words[2:]))
			case "default":
				p.DefaultFilterChain = scriptChain(t, words[1], nil)
			case "conn", "explain":
				c := scriptConn(t, words[1:])
				fmt.Fprintf(&result, "%s\n  %s\n", strings.Join(words, " "), selected(l, c))
				if words[0] == "explain" {
					var tr match.Trace
					l.Selector.Select(c, &tr)
					for _, s := range tr.Steps {
						fmt.Fprintf(&result, "  %-5v %s: %s\n", s.OK, s.Subject, s.Why)
					}
				}
			default:
				t.Fatalf("unknown command %q", line)
			}
		}
		if len(p.FilterChains) > 0 || p.DefaultFilterChain != nil {
			var err error
			if l, err = listener.Decode(p, extension.NewContext(registry(), "in")); err != nil {
				result.WriteString(err.Error() + "\n")
			} else {
				result.WriteString("ok\n")
			}
		}
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		out.WriteString(strings.TrimRight(commands, "\n") + "\n")
		if result.Len() > 0 {
			out.WriteString("----\n" + result.String())
		}
	}
	return out.String()
}

func selected(l *listener.Listener, c *info.Conn) string {
	f := l.Selector.Select(c, nil)
	chain, criterion, wanted, got := l.Selector.Nearest(c)
	near := fmt.Sprintf("nearest is %s: %s wants %s, the connection has %s", chain, criterion, wanted, got)
	switch {
	case f == nil && criterion == "":
		return "none"
	case f == nil:
		return "none; " + near
	case criterion != "":
		return f.Label() + "; " + near
	}
	return f.Label()
}

func emptyListener() *listenerv3.Listener {
	return &listenerv3.Listener{
		Name: "in",
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "0.0.0.0", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 15001},
		}}},
	}
}

func terminal() []*listenerv3.Filter {
	return []*listenerv3.Filter{{Name: "t", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(wrapperspb.String("x"))}}}
}

func packed(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return a
}

func scriptChain(t *testing.T, name string, words []string) *listenerv3.FilterChain {
	f := &listenerv3.FilterChain{Name: strings.TrimPrefix(name, "-"), Filters: terminal()}
	if len(words) == 0 {
		return f
	}
	m := &listenerv3.FilterChainMatch{}
	f.FilterChainMatch = m
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		list := strings.Split(v, ",")
		switch k {
		case "port":
			m.DestinationPort = wrapperspb.UInt32(number(t, v))
		case "dst":
			m.PrefixRanges = ranges(t, list)
		case "sni":
			m.ServerNames = list
		case "transport":
			m.TransportProtocol = v
		case "alpn":
			m.ApplicationProtocols = list
		case "direct":
			m.DirectSourcePrefixRanges = ranges(t, list)
		case "source":
			m.SourceType = map[string]listenerv3.FilterChainMatch_ConnectionSourceType{
				"local": listenerv3.FilterChainMatch_SAME_IP_OR_LOOPBACK, "external": listenerv3.FilterChainMatch_EXTERNAL,
			}[v]
		case "src":
			m.SourcePrefixRanges = ranges(t, list)
		case "sport":
			for _, p := range list {
				m.SourcePorts = append(m.SourcePorts, number(t, p))
			}
		default:
			t.Fatalf("unknown criterion %q", w)
		}
	}
	return f
}

func scriptConn(t *testing.T, words []string) *info.Conn {
	c := &info.Conn{
		Dest:   netip.MustParseAddrPort("10.9.9.9:80"),
		Source: netip.MustParseAddrPort("192.0.2.1:40000"),
	}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "dst":
			c.Dest = addrPort(t, v)
		case "sni":
			c.ServerName = []byte(v)
		case "transport":
			c.Transport = info.Transport(v)
		case "alpn":
			for _, p := range strings.Split(v, ",") {
				c.ALPN = append(c.ALPN, []byte(p))
			}
		case "direct":
			c.DirectSource = addrPort(t, v)
		case "src":
			c.Source = addrPort(t, v)
		default:
			t.Fatalf("unknown property %q", w)
		}
	}
	if !c.DirectSource.IsValid() {
		c.DirectSource = c.Source
	}
	return c
}

func addrPort(t *testing.T, s string) netip.AddrPort {
	if s == "pipe" {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func number(t *testing.T, s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func ranges(t *testing.T, list []string) []*corev3.CidrRange {
	var out []*corev3.CidrRange
	for _, s := range list {
		a, bits, _ := strings.Cut(s, "/")
		out = append(out, &corev3.CidrRange{AddressPrefix: a, PrefixLen: wrapperspb.UInt32(number(t, bits))})
	}
	return out
}
