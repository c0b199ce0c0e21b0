package config_test

import (
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/support"
)

// A static resource with a field that is not supported and bears on no security is refused, unless leniency was asked for.
func TestLenientStatic(t *testing.T) {
	a := resources(t, `
"@type": type.googleapis.com/envoy.config.listener.v3.Listener
name: in
address: {socket_address: {address: 127.0.0.1, port_value: 80}}
stats_matcher: {reject_all: true}
filter_chains: [{filters: [{name: tcp, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: a, cluster: a}}]}]
`)[0]
	for _, lenient := range []bool{false, true} {
		d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade, LenientStatic: lenient}
		r, err := d.Decode(a.GetTypeUrl(), a, true)
		if (err == nil) != lenient || err == nil && len(r.Degraded) != 1 {
			t.Errorf("lenient %v: %v", lenient, err)
		}
	}
}
