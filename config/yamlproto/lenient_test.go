package yamlproto

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// What Envoy takes beside the JSON form of protobuf: one value for a list of it, and well-known types by their fields.
func TestFormsOfEnvoy(t *testing.T) {
	f := func(loose, strict string, m func() proto.Message) {
		t.Helper()
		a, b := m(), m()
		if _, err := Unmarshal([]byte(loose), a, Options{}); err != nil {
			t.Errorf("%s: %v", loose, err)
			return
		}
		if _, err := Unmarshal([]byte(strict), b, Options{}); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(a, b) {
			t.Errorf("%s: %v, want %v", loose, a, b)
		}
	}
	c := func() proto.Message { return new(clusterv3.Cluster) }
	f("connect_timeout: {seconds: 1, nanos: 500000000}", "connect_timeout: 1.5s", c)
	f("per_connection_buffer_limit_bytes: {value: 5}", "per_connection_buffer_limit_bytes: 5", c)
	f("health_checks: {timeout: 1s}", "health_checks: [{timeout: 1s}]", c)
	f("domains: a", "domains: [a]", func() proto.Message { return new(routev3.VirtualHost) })
	x, err := Unmarshal([]byte("health_checks:\n  timeout: {seconds: 1}\n"), c(), Options{File: "f"})
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := x.At("health_checks[0].timeout"); !ok || p.Line != 2 {
		t.Errorf("the item is at %v, %v", p, ok)
	}
}
