package listener_test

import (
	"strings"
	"testing"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/listener"
)

func TestMisdirected(t *testing.T) {
	p := emptyListener()
	p.FilterChains = append(p.FilterChains,
		scriptChain(t, "a", []string{"sni=a.example,also.example"}),
		scriptChain(t, "wild", []string{"sni=*.wild.example"}),
		scriptChain(t, "port", []string{"port=8443", "sni=b.example"}))
	with, err := listener.Decode(p, extension.NewContext(registry(), "in"))
	if err != nil {
		t.Fatal(err)
	}
	p.DefaultFilterChain = scriptChain(t, "rest", nil)
	rest, err := listener.Decode(p, extension.NewContext(registry(), "in"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sni, host string
		want      bool
		withRest  bool // with a default filter chain
	}{
		{"a.example", "a.example", false, false},
		{"a.example", "A.Example:443", false, false},
		{"a.example", "a.example.", false, false},
		{"a.example", "also.example", false, false},      // the same chain
		{"a.example", "x.wild.example", true, true},      // another's
		{"a.example", "X.Wild.Example:8443", true, true}, //
		{"x.wild.example", "a.example:443", true, true},  //
		{"x.wild.example", "y.wild.example", false, false},
		{"a.example", "b.example:8443", false, true}, // the connection's port decides, not the host's
		{"a.example", "nobody.example", false, true}, // nobody's, or the default chain's
		{"a.example", "10.1.2.3:80", false, false},   // no address is an SNI
		{"a.example", "[::1]:80", false, false},
		{"a.example", "", false, false},
		{"", "a.example", false, false}, // a client that says nothing
	} {
		for l, want := range map[*listener.Listener]bool{with: c.want, rest: c.withRest} {
			args := []string{"dst=10.0.0.1:443", "transport=tls"}
			if c.sni != "" {
				args = append(args, "sni="+c.sni)
			}
			conn := scriptConn(t, args)
			chosen := l.Selector.Select(conn, nil)
			if got := l.Selector.Misdirected(conn, chosen, []byte(c.host)); got != want {
				t.Errorf("%s on a connection to %q: %v, default chain: %v", c.host, c.sni, got, l == rest)
			}
			if strings.ToLower(c.host) != c.host && string(conn.ServerName) != c.sni {
				t.Errorf("the connection changed: %q", conn.ServerName)
			}
		}
	}
}
