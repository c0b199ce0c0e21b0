package streams

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// TestDrainLosesNothing: a process that ends, and a listener that is removed or
// changed, answer all that HTTP/2 clients sent until they heard of it.
func TestDrainLosesNothing(t *testing.T) {
	config := func(origin string, listener bool) string {
		s := "clusters:\n- name: o\n  load_assignment: " + rig.Endpoint("o", origin) + "\n"
		if listener {
			s += `listeners:
- name: in
  address: {$loopback}
  filter_chains: [{filters: [{name: hcm, typed_config: {$hcm, stat_prefix: test, http_filters: [$router], route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o}}]}]}}}]}]
`
		}
		return s
	}
	for name, drain := range map[string]func(r *rig.Rig, origin string){
		"the process ends":        func(r *rig.Rig, _ string) { r.Drain() },
		"the listener is removed": func(r *rig.Rig, origin string) { r.Apply(config(origin, false)) },
	} {
		t.Run(name, func(t *testing.T) {
			origin := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
			r := rig.New(t, rig.Options{Config: config(origin, true)})
			const clients = 6
			var busy, done sync.WaitGroup
			busy.Add(clients)
			for range clients {
				h := r.DialH2()
				done.Go(func() {
					if err := h.Load(50, busy.Done); err != nil {
						t.Error(err)
					}
				})
			}
			busy.Wait()
			drain(r, origin)
			done.Wait()
			r.Await("http.test.downstream_cx_active", 0)
			r.Await("http.test.downstream_rq_active", 0)
			r.Await("http.test.downstream_cx_drain_close", clients)
			if n, ok := r.Stat("http.test.downstream_rq_total"), r.Stat("http.test.downstream_rq_2xx"); n != ok || n < 50*clients {
				t.Errorf("%d requests, %d answered well", n, ok)
			}
		})
	}
}

// TestMaxRequestsPerConnection: a connection that has carried its requests is left,
// on either side, and no request is lost by that.
func TestMaxRequestsPerConnection(t *testing.T) {
	const top, clients = 60, 4
	combined := func(version int) {
		start, protocol := rig.Origin, "http_protocol_options"
		if version == 2 {
			start, protocol = rig.OriginH2C, "http2_protocol_options"
		}
		origin := start(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
		r := rig.New(t, rig.Options{
			HCM: fmt.Sprintf(`
stat_prefix: test
http_filters: [$router]
common_http_protocol_options: {max_requests_per_connection: %d}
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o}}]}]}
`, top),
			Config: "clusters:\n- name: o\n  load_assignment: " + rig.Endpoint("o", origin) + fmt.Sprintf(
				"\n  typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, common_http_protocol_options: {max_requests_per_connection: 7}, explicit_http_config: {%s: {}}}}", protocol),
		})
		var busy, done sync.WaitGroup
		busy.Add(clients)
		for range clients {
			h := r.DialH2()
			done.Go(func() {
				if err := h.Load(50, busy.Done); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		r.Await("http.test.downstream_cx_active", 0)
		r.Await("http.test.downstream_cx_max_requests_reached", clients)
		n := r.Stat("http.test.downstream_rq_total")
		if ok := r.Stat("http.test.downstream_rq_2xx"); n != ok || n < top*clients {
			t.Errorf("%d requests, %d answered well", n, ok)
		}
		if cx := r.Stat("cluster.o.upstream_cx_total"); cx < n/7 {
			t.Errorf("%d requests on %d connections", n, cx)
		}
		if r.Stat("cluster.o.upstream_rq_total") != n {
			t.Errorf("%d requests became %d", n, r.Stat("cluster.o.upstream_rq_total"))
		}
	}
	for _, version := range []int{1, 2} {
		combined(version)
	}
}
