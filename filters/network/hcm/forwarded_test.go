package hcm_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// serving is a connection manager with one more setting, if any, and one route.
func serving(setting string) string {
	return `
stat_prefix: test
` + setting + `
http_filters:
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]}
`
}

// TestForwardingFields asks, from 127.0.0.1, with some fields, and looks at what
// the origin got (Envoy: HTTP header manipulation).
func TestForwardingFields(t *testing.T) {
	const internal = "use_remote_address: true\ninternal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}"
	for _, c := range []struct {
		name, setting string
		send          []string
		field, want   string
	}{
		{"nothing is added to x-forwarded-for by default", "", nil, "X-Forwarded-For", ""},
		{"what came stays", "", []string{"X-Forwarded-For", "192.0.2.1"}, "X-Forwarded-For", "192.0.2.1"},
		{"the peer with use_remote_address", "use_remote_address: true", nil, "X-Forwarded-For", "127.0.0.1"},
		{"the peer behind what came", "use_remote_address: true", []string{"X-Forwarded-For", "192.0.2.1"}, "X-Forwarded-For", "192.0.2.1,127.0.0.1"},
		{"not with skip_xff_append", "use_remote_address: true\nskip_xff_append: true", []string{"X-Forwarded-For", "192.0.2.1"}, "X-Forwarded-For", "192.0.2.1"},
		{"x-forwarded-proto is made", "", nil, "X-Forwarded-Proto", "http"},
		{"… believed", "", []string{"X-Forwarded-Proto", "https"}, "X-Forwarded-Proto", "https"},
		{"… not from an untrusted peer", "use_remote_address: true", []string{"X-Forwarded-Proto", "https"}, "X-Forwarded-Proto", "http"},
		{"… but from a trusted hop", "use_remote_address: true\nxff_num_trusted_hops: 1", []string{"X-Forwarded-Proto", "https"}, "X-Forwarded-Proto", "https"},
		{"the external address", "use_remote_address: true", nil, "X-Envoy-External-Address", "127.0.0.1"},
		{"… behind a trusted hop", "use_remote_address: true\nxff_num_trusted_hops: 1", []string{"X-Forwarded-For", "192.0.2.1"}, "X-Envoy-External-Address", "192.0.2.1"},
		{"an internal client is named", internal, nil, "X-Envoy-Internal", "true"},
		{"… nobody claims to be one", "use_remote_address: true", []string{"X-Envoy-Internal", "true"}, "X-Envoy-Internal", ""},
		{"a client's timeout is not obeyed", "use_remote_address: true", []string{"X-Envoy-Upstream-Rq-Timeout-Ms", "1"}, "X-Envoy-Expected-Rq-Timeout-Ms", "15000"},
		{"… an internal one's is", internal, []string{"X-Envoy-Upstream-Rq-Timeout-Ms", "7000"}, "X-Envoy-Expected-Rq-Timeout-Ms", "7000"},
		{"a request id is kept", "", []string{"X-Request-Id", "one"}, "X-Request-Id", "one"},
		{"… made when asked for", "generate_request_id: false", nil, "X-Request-Id", ""},
		{"… and kept from outside if configured", "use_remote_address: true\npreserve_external_request_id: true", []string{"X-Request-Id", "one"}, "X-Request-Id", "one"},
		{"via", "via: weir", nil, "Via", "weir"},
		{"via behind what came", "via: weir", []string{"Via", "1.1 a"}, "Via", "1.1 a, weir"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got http.Header
			o := rig.Origin(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
			r := rig.New(t, rig.Options{HCM: serving(c.setting), Origins: map[string]string{"a": o}})
			if a := r.Do(rig.Client(t), "GET", "/", c.send...); a.Code != 200 {
				t.Fatal(a.Code)
			}
			if v := strings.Join(got.Values(c.field), " | "); v != c.want {
				t.Errorf("%s: %q, want %q", c.field, v, c.want)
			}
		})
	}
}

func TestRequestIDFromOutsideIsReplaced(t *testing.T) {
	var got string
	o := rig.Origin(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("x-request-id") })
	r := rig.New(t, rig.Options{HCM: serving("use_remote_address: true\nalways_set_request_id_in_response: true"), Origins: map[string]string{"a": o}})
	a := r.Do(rig.Client(t), "GET", "/", "X-Request-Id", "one")
	if len(got) != 36 || got == "one" || a.Header.Get("x-request-id") != got {
		t.Errorf("the origin saw %q, the client %q", got, a.Header.Get("x-request-id"))
	}
}

// TestServerField compares the modes of server_header_transformation.
func TestServerField(t *testing.T) {
	for _, c := range []struct{ setting, origin, want string }{
		{"", "nginx", "weir"},
		{"", "", "weir"},
		{"server_name: other", "nginx", "other"},
		{"server_header_transformation: APPEND_IF_ABSENT", "nginx", "nginx"},
		{"server_header_transformation: APPEND_IF_ABSENT", "", "weir"},
		{"server_header_transformation: PASS_THROUGH", "nginx", "nginx"},
		{"server_header_transformation: PASS_THROUGH", "", ""},
	} {
		t.Run(c.setting+" "+c.origin, func(t *testing.T) {
			o := rig.Origin(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.origin != "" {
					w.Header().Set("Server", c.origin)
				}
			})
			r := rig.New(t, rig.Options{HCM: serving(c.setting), Origins: map[string]string{"a": o}})
			if got := r.Do(rig.Client(t), "GET", "/").Header.Get("Server"); got != c.want {
				t.Errorf("server %q, want %q", got, c.want)
			}
		})
	}
}
