package listener_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/info"
)

// tuple is one combination of a chain's values, in Envoy's order; "" does not ask.
type tuple struct {
	value [9]string
	chain *listener.FilterChain
}

// tuples writes a listener's chains out as the documentation of FilterChainMatch describes them.
func tuples(chains []*listener.FilterChain) []tuple {
	var out []tuple
	for _, f := range chains {
		m := f.Match
		if m == nil {
			m = &listener.Match{}
		}
		port, source := "", ""
		if m.DestinationPort != 0 {
			port = fmt.Sprint(m.DestinationPort)
		}
		if m.SourceType != listener.AnySource {
			source = m.SourceType.String()
		}
		all := []tuple{{chain: f}}
		for i, values := range [9][]string{
			{port},
			texts(m.Prefixes), m.ServerNames,
			{m.TransportProtocol},
			m.ApplicationProtocols,
			texts(m.DirectSourcePrefixes),
			{source},
			texts(m.SourcePrefixes), texts(m.SourcePorts),
		} {
			if len(values) == 0 {
				values = []string{""}
			}
			var next []tuple
			for _, t := range all {
				for _, v := range values {
					t.value[i] = v
					next = append(next, t)
				}
			}
			all = next
		}
		out = append(out, all...)
	}
	return out
}

func texts[T any](l []T) []string {
	var out []string
	for _, v := range l {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// reference is the documented algorithm, literally: at each criterion the values that the connection could be matched by, most
// specific first; the first that any remaining combination names wins, and all others are out.
func reference(all []tuple, c *info.Conn) *listener.FilterChain {
	prefixes := func(a netip.Addr) []string {
		if !a.IsValid() {
			a = netip.MustParseAddr("255.255.255.255")
		}
		a = a.Unmap()
		var out []string
		for bits := a.BitLen(); bits >= 0; bits-- {
			p, _ := a.Prefix(bits)
			out = append(out, p.String())
		}
		return append(out, "")
	}
	sni := string(c.ServerName)
	names := []string{sni}
	for i := 1; i < len(sni)-1; i++ {
		if sni[i] == '.' {
			names = append(names, "*"+sni[i:])
		}
	}
	var alpns []string
	for _, p := range c.ALPN {
		alpns = append(alpns, string(p))
	}
	transport := string(c.Transport)
	if transport == "" {
		transport = "raw_buffer"
	}
	source := "EXTERNAL"
	if a := c.Source.Addr(); !a.IsValid() || a == c.Dest.Addr() || a.String() == "127.0.0.1" || a.String() == "::1" {
		source = "SAME_IP_OR_LOOPBACK"
	}
	for i, order := range [9][]string{
		{fmt.Sprint(c.Dest.Port()), ""},
		prefixes(c.Dest.Addr()), append(names, ""),
		{transport, ""},
		append(alpns, ""),
		prefixes(c.DirectSource.Addr()),
		{source, ""},
		prefixes(c.Source.Addr()),
		{fmt.Sprint(c.Source.Port()), ""},
	} {
		var left []tuple
		for _, v := range order {
			for _, t := range all {
				if t.value[i] == v {
					left = append(left, t)
				}
			}
			if len(left) > 0 {
				break
			}
		}
		if all = left; len(all) == 0 {
			return nil
		}
	}
	return all[0].chain
}

var universe = struct{ ports, prefixes, names, transports, alpns, sources, sports, addrs, snis []string }{
	ports:      []string{"80", "443"},
	prefixes:   []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32", "0.0.0.0/0", "2001:db8::/32", "::/0"},
	names:      []string{"a.com", "*.a.com", "www.a.com", "*.com", "*.b.a.com", "b.org"},
	transports: []string{"tls", "raw_buffer"},
	alpns:      []string{"h2", "http/1.1"},
	sources:    []string{"local", "external"},
	sports:     []string{"1", "2"},
	addrs:      []string{"10.1.1.1", "10.1.2.3", "10.9.9.9", "192.0.2.1", "127.0.0.1", "2001:db8::1", "::1"},
	snis:       []string{"", "a.com", "www.a.com", "x.b.a.com", "b.a.com", "c.com", "b.org", "com"},
}

func pick(r *rand.Rand, l []string) string { return l[r.IntN(len(l))] }

// randomChain asks for one criterion in sparse.
func randomChain(t *testing.T, r *rand.Rand, name string, sparse int) *listenerv3.FilterChain {
	var words []string
	for _, k := range []struct {
		name   string
		values []string
		many   bool
	}{
		{"port", universe.ports, false},
		{"dst", universe.prefixes, true},
		{"sni", universe.names, true},
		{"transport", universe.transports, false},
		{"alpn", universe.alpns, true},
		{"direct", universe.prefixes, true},
		{"source", universe.sources, false},
		{"src", universe.prefixes, true},
		{"sport", universe.sports, true},
	} {
		if r.IntN(sparse) > 0 {
			continue
		}
		first := r.IntN(len(k.values))
		values := []string{k.values[first]}
		if k.many && r.IntN(3) == 0 {
			values = append(values, k.values[(first+1)%len(k.values)])
		}
		words = append(words, k.name+"="+strings.Join(values, ","))
	}
	return scriptChain(t, name, words)
}

func randomConn(t *testing.T, r *rand.Rand) *info.Conn {
	addr := func(port string) string {
		a := pick(r, universe.addrs)
		if strings.Contains(a, ":") {
			a = "[" + a + "]"
		}
		return a + ":" + port
	}
	words := []string{"dst=" + addr(pick(r, []string{"80", "443", "8080"})), "src=" + addr(pick(r, []string{"1", "2", "3"}))}
	if r.IntN(2) == 0 {
		words = append(words, "direct="+addr("1"))
	}
	words = append(words, "sni="+pick(r, universe.snis))
	if r.IntN(2) == 0 {
		words = append(words, "transport="+pick(r, universe.transports))
	}
	if r.IntN(2) == 0 {
		words = append(words, "alpn="+pick(r, []string{"h2", "http/1.1", "h2,http/1.1", "http/1.1,h2", "spdy,h2"}))
	}
	return scriptConn(t, words)
}

func TestSelectIsTheDocumentedAlgorithm(t *testing.T) {
	const listeners, conns = 250, 40
	r := rand.New(rand.NewPCG(1, 2))
	valid, hits, misses := 0, 0, 0
	for range listeners {
		p := emptyListener()
		for i := range 1 + r.IntN(8) {
			p.FilterChains = append(p.FilterChains, randomChain(t, r, fmt.Sprint(i), 3))
		}
		l, err := listener.Decode(p, extension.NewContext(registry(), "in"))
		if err != nil {
			if !strings.Contains(err.Error(), "takes the same connections as") {
				t.Fatal(err)
			}
			continue
		}
		valid++
		all := tuples(l.Chains)
		for range conns {
			c := randomConn(t, r)
			want, got := reference(all, c), l.Selector.Select(c, nil)
			if got != want {
				t.Fatalf("conn %+v\nlistener %v\nselected %v, the reference %v", c, p, name(got), name(want))
			}
			if traced := l.Selector.Select(c, &match.Trace{}); traced != want {
				t.Fatalf("with a trace %v, without %v", name(traced), name(want))
			}
			if _, criterion, _, _ := l.Selector.Nearest(c); (criterion == "") != (want != nil) {
				t.Fatalf("nearest names %q, selected %v", criterion, name(want))
			}
			if want != nil {
				hits++
			} else {
				misses++
			}
		}
	}
	t.Logf("%d listeners, %d hits, %d misses", valid, hits, misses)
	if valid < listeners/3 || hits < 400 || misses < 400 {
		t.Error("the sample is too thin to show anything")
	}
}

// TestDuplicatesAreTheTuplesThatRepeat: a listener is refused exactly when two chains have a combination in common.
func TestDuplicatesAreTheTuplesThatRepeat(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	refused := 0
	for range 1500 {
		chains := []*listenerv3.FilterChain{randomChain(t, r, "a", 6), randomChain(t, r, "b", 6)}
		got := map[[9]string]bool{}
		repeats := false
		for _, f := range chains {
			p := emptyListener()
			p.FilterChains = []*listenerv3.FilterChain{f}
			l, err := listener.Decode(p, extension.NewContext(registry(), "in"))
			if err != nil {
				t.Fatal(err)
			}
			for _, tu := range tuples(l.Chains) {
				repeats = repeats || got[tu.value]
				got[tu.value] = true
			}
		}
		p := emptyListener()
		p.FilterChains = chains
		_, err := listener.Decode(p, extension.NewContext(registry(), "in"))
		if (err != nil) != repeats {
			t.Fatalf("%v\nrepeats %v, error %v", chains, repeats, err)
		}
		if repeats {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("only %d duplicates in the sample", refused)
	}
}

func name(f *listener.FilterChain) string {
	if f == nil {
		return "none"
	}
	return f.Label()
}

func TestSelectDoesNotAllocate(t *testing.T) {
	p := emptyListener()
	p.FilterChains = []*listenerv3.FilterChain{
		scriptChain(t, "a", strings.Fields("port=443 dst=10.0.0.0/8,2001:db8::/32 sni=*.a.com,a.org transport=tls alpn=h2 "+
			"direct=10.0.0.0/8 source=external src=10.0.0.0/8 sport=5")),
		scriptChain(t, "b", nil),
	}
	l, err := listener.Decode(p, extension.NewContext(registry(), "in"))
	if err != nil {
		t.Fatal(err)
	}
	hit := scriptConn(t, strings.Fields("dst=[::ffff:10.1.1.1]:443 sni=x.y.a.com transport=tls alpn=spdy,h2 src=10.2.2.2:5"))
	miss := scriptConn(t, strings.Fields("dst=[2001:db8::1]:443 sni=x.y.b.com"))
	if got := l.Selector.Select(hit, nil); name(got) != `"a"` {
		t.Fatalf("selected %v", name(got))
	}
	if n := testing.AllocsPerRun(100, func() { l.Selector.Select(hit, nil); l.Selector.Select(miss, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSelect(b *testing.B) {
	p := emptyListener()
	for i := range 1000 {
		p.FilterChains = append(p.FilterChains, &listenerv3.FilterChain{Filters: terminal(), FilterChainMatch: &listenerv3.FilterChainMatch{
			ServerNames: []string{fmt.Sprintf("*.host%d.example.com", i)}, TransportProtocol: "tls",
		}})
	}
	l, err := listener.Decode(p, extension.NewContext(registry(), "in"))
	if err != nil {
		b.Fatal(err)
	}
	c := &info.Conn{
		Dest: netip.MustParseAddrPort("10.1.1.1:443"), Source: netip.MustParseAddrPort("10.2.2.2:5"),
		ServerName: []byte("www.host77.example.com"), Transport: info.TLS,
	}
	for b.Loop() {
		l.Selector.Select(c, nil)
	}
}
