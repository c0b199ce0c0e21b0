package listener_test

import (
	"net/netip"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/protos"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/info"
)

func read(t *testing.T, text string) *listenerv3.Listener {
	t.Helper()
	if len(protos.Types()) == 0 { // links them
		t.Fatal("no types")
	}
	p := &listenerv3.Listener{}
	if _, err := yamlproto.Unmarshal([]byte(text), p, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDecode runs testdata/decode: each case is a Listener in YAML and what it becomes, beside a listener with every default.
func TestDecode(t *testing.T) {
	const chain = "default_filter_chain: {filters: [{name: tcp, typed_config: " +
		`{"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: a}}]}`
	base, err := listener.Decode(read(t, "name: a\naddress: {socket_address: {address: 0.0.0.0, port_value: 80}}\n"+chain),
		extension.NewContext(configtest.Registry(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	configtest.Scripts(t, "testdata/decode/*.txt", *rewrite, func(t *testing.T, name, input string) string {
		d, err := listener.Decode(read(t, input), extension.NewContext(configtest.Registry(), "a"))
		switch {
		case err != nil:
			return err.Error()
		case name == "every default":
			return configtest.Dump(d)
		}
		return configtest.Changes(base, d)
	})
}

func TestPredicates(t *testing.T) {
	at := func(port uint16) *info.Conn {
		return &info.Conn{Dest: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
	}
	for _, c := range []struct {
		name, predicate string
		yes, no         []uint16
	}{
		{"range", "{destination_port_range: {start: 80, end: 82}}", []uint16{80, 81}, []uint16{79, 82}},
		{"any", "{any_match: true}", []uint16{1}, nil},
		{"not", "{not_match: {destination_port_range: {start: 80, end: 81}}}", []uint16{81}, []uint16{80}},
		{"or", "{or_match: {rules: [{destination_port_range: {start: 1, end: 2}}, {destination_port_range: {start: 5, end: 6}}]}}", []uint16{1, 5}, []uint16{2}},
		{"and", "{and_match: {rules: [{destination_port_range: {start: 1, end: 9}}, {not_match: {destination_port_range: {start: 5, end: 6}}}]}}", []uint16{1, 8}, []uint16{5, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := listener.Decode(read(t, `
address: {socket_address: {address: 0.0.0.0, port_value: 80}}
listener_filters:
- name: x
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}
  filter_disabled: `+c.predicate+`
default_filter_chain: {filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: a}}]}
`), extension.NewContext(configtest.Registry(), "a"))
			if err != nil {
				t.Fatal(err)
			}
			p := l.Filters[0].DisabledFor
			for _, port := range c.yes {
				if !p.Matches(at(port)) {
					t.Errorf("%d does not match", port)
				}
			}
			for _, port := range c.no {
				if p.Matches(at(port)) {
					t.Errorf("%d matches", port)
				}
			}
			if n := testing.AllocsPerRun(10, func() { p.Matches(&info.Conn{}) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	var none *listener.Predicate
	if none.Matches(at(1)) {
		t.Error("no predicate matches")
	}
}
