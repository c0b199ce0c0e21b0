package router_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// TestOurBoundsAreNotTheClients: what the server is told in grpc-timeout is not what
// a client asked for that set no deadline: it hears that the server is unavailable.
func TestOurBoundsAreNotTheClients(t *testing.T) {
	o := rig.OriginH2C(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for name, route := range map[string]string{
		"max_grpc_timeout":             "max_grpc_timeout: 0.08s",
		"max_grpc_timeout and per try": `max_grpc_timeout: 5s, retry_policy: {retry_on: "connect-failure", per_try_timeout: 0.08s}`,
		"plain timeout":                "timeout: 0.08s",
	} {
		r := rig.New(t, rig.Options{
			HCM: `{stat_prefix: test, http_filters: [$router], route_config: {virtual_hosts: [{name: v, domains: ["*"],
				routes: [{match: {prefix: /}, route: {cluster: o, ` + route + `}}]}]}}`,
			Config: "clusters:\n- name: o\n  type: STATIC\n  load_assignment: " + rig.Endpoint("o", o) + "\n  http2_protocol_options: {}\n",
		})
		if got := called(t, r, rig.ClientH2C(t), "/s/m"); !strings.Contains(got, "14") {
			t.Errorf("%s: %s, want status 14", name, got)
		}
	}
}
