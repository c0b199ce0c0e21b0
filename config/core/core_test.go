package core_test

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/fielderr"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDecodeListenerAddress(t *testing.T) {
	var p corev3.Address
	if err := protojson.Unmarshal([]byte(`{"socket_address":{"address":"10.0.0.1","port_value":80,"network_namespace_filepath":"/run/netns/a"}}`), &p); err != nil {
		t.Fatal(err)
	}
	var l fielderr.List
	a, ok := core.DecodeListenerAddress(&l, "address", &p)
	if !ok || a.NetNS != "/run/netns/a" || a.Addr.String() != "10.0.0.1:80" {
		t.Errorf("%+v, %v", a, l.Err())
	}
}

func TestDecodeAddress(t *testing.T) {
	for _, c := range []struct{ name, json, want, err string }{
		{"v4", `{"socket_address":{"address":"10.0.0.1","port_value":80}}`, "10.0.0.1:80", ""},
		{"v6", `{"socket_address":{"address":"::1","port_value":0,"ipv4_compat":true}}`, "[::1]:0", ""},
		{"name", `{"socket_address":{"address":"a.com","port_value":80}}`, "a.com", ""},
		{"pipe", `{"pipe":{"path":"/run/x"}}`, "/run/x", ""},
		{"nothing", `{}`, "", "address: unset: socket_address or pipe is needed"},
		{
			"internal", `{"envoy_internal_address":{"server_listener_name":"x"}}`, "",
			"address.envoy_internal_address: internal listeners are not supported",
		},
		{
			"all wrong", `{"socket_address":{"protocol":"UDP","address":"10.0.0.1","ipv4_compat":true,"port_value":65536,"resolver_name":"x"}}`, "",
			"address.socket_address.protocol: UDP is not supported, TCP is\naddress.socket_address.resolver_name: not supported\n" +
				"address.socket_address.port_value: 65536 is not a port\naddress.socket_address.ipv4_compat: 10.0.0.1 is not an IPv6 address",
		},
		{
			"empty", `{"socket_address":{},"pipe":null}`, "",
			"address.socket_address.port_value: unset\naddress.socket_address.address: empty",
		},
		{
			"namespace", `{"socket_address":{"address":"10.0.0.1","port_value":80,"network_namespace_filepath":"/run/netns/a"}}`, "",
			"address.socket_address.network_namespace_filepath: goes with a listener's address only",
		},
		{"empty pipe", `{"pipe":{}}`, "", "address.pipe.path: empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p corev3.Address
			if err := protojson.Unmarshal([]byte(c.json), &p); err != nil {
				t.Fatal(err)
			}
			var l fielderr.List
			a, ok := core.DecodeAddress(&l, "address", &p)
			got := ""
			if err := l.Err(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.err, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if ok != (c.err == "") {
				t.Errorf("ok is %v", ok)
			}
			if text := a.Name + a.Pipe; ok && text != c.want && a.Addr.String() != c.want {
				t.Errorf("%+v, want %s", a, c.want)
			}
		})
	}
}
