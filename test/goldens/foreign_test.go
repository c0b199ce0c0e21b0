package goldens

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/yamlproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const chain = `
name: in
address: {socket_address: {address: 127.0.0.1, port_value: 80}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: in
      route_config: {}
      http_filters:
      - {name: placeholder, is_optional: %v, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}
      - {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
`

// listenerWith gives a listener of whose HTTP filters the first is of a type that this program has no proto of, as only a control
// plane can send it.
func listenerWith(t *testing.T, optional bool, filter *anypb.Any) *anypb.Any {
	t.Helper()
	var l listenerv3.Listener
	if _, err := yamlproto.Unmarshal(fmt.Appendf(nil, chain, optional), &l, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
	var m hcmv3.HttpConnectionManager
	f := l.FilterChains[0].Filters[0]
	if err := f.GetTypedConfig().UnmarshalTo(&m); err != nil {
		t.Fatal(err)
	}
	m.HttpFilters[0].ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: filter}
	f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, &m)}
	return pack(t, &l)
}

func pack(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A filter of a type that nobody knows is refused by its path, and left out and listed when it is optional; one that is known by its
// name alone does without, and is listed when something is lost by that.
func TestForeignFilters(t *testing.T) {
	const at = "filter_chains[0].filters[0].typed_config.http_filters[0]"
	d := decoder()
	for _, c := range []struct {
		name, url string
		optional  bool
		refused   string // in the error; "" is accepted
		listed    string // among what has no effect; "" is nothing
	}{
		{"unknown", "acme.Filter", false, at + ".typed_config: unsupported type acme.Filter: unknown type", ""},
		{"unknown and optional", "acme.Filter", true, "", at + ".typed_config: ineffective type acme.Filter: unknown type, left out because is_optional is set"},
		{"not built", "envoy.extensions.filters.http.lua.v3.Lua", false, at + ".typed_config: unsupported type", ""},
		{"not built and optional", "envoy.extensions.filters.http.lua.v3.Lua", true, "", "left out because is_optional is set"},
		{"harmless by name", "io.istio.http.peer_metadata.Config", false, "", ""},
		{"lesser by name", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", false, "", at + ".typed_config: unsupported type istio.envoy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := d.Decode(config.ListenerURL, listenerWith(t, c.optional, &anypb.Any{TypeUrl: "type.googleapis.com/" + c.url}), false)
			var e *config.Error
			if errors.As(err, &e) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				return
			}
			if got := strings.Join(r.Degraded, "\n"); (got != "") != (c.listed != "") || !strings.Contains(got, c.listed) {
				t.Errorf("without effect: %q", got)
			}
		})
	}
}
