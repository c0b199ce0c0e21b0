// Package health_test checks hosts actively from end to end: from the configuration
// in YAML to which origin gets the traffic.
package health_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hcm = `
stat_prefix: in
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}]}
http_filters: [$router]
`

// cluster is one of several hosts, with checks that come often.
func cluster(check, more string, hosts ...string) string {
	eps := ""
	for _, h := range hosts {
		host, port, _ := net.SplitHostPort(h)
		eps += fmt.Sprintf("\n      - endpoint: {address: {socket_address: {address: %q, port_value: %s}}}", host, port)
	}
	return fmt.Sprintf(`
clusters:
- name: c
  type: STATIC
  common_lb_config: {healthy_panic_threshold: {value: 0}}
  %s
  health_checks:
  - {timeout: 5s, interval: 0.01s, no_traffic_interval: 0.01s, unhealthy_threshold: 2, healthy_threshold: 2, %s}
  load_assignment:
    cluster_name: c
    endpoints:
    - lb_endpoints:%s
`, more, check, eps)
}

// An origin that may turn sick, and says who it is.
func origin(t *testing.T, name string, sick *atomic.Bool, served *atomic.Int64) string {
	return rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			if sick.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		served.Add(1)
		_, _ = io.WriteString(w, name)
	})
}

func TestSickOriginGetsNoTraffic(t *testing.T) {
	var sick [2]atomic.Bool
	var served [2]atomic.Int64
	a, b := origin(t, "a", &sick[0], &served[0]), origin(t, "b", &sick[1], &served[1])
	r := rig.New(t, rig.Options{HCM: hcm, Config: cluster("http_health_check: {path: /healthz}", "", a, b)})
	client := rig.Client(t)
	ask := func(n int) {
		t.Helper()
		for range n {
			if got := r.Do(client, "GET", "/"); got.Code != 200 {
				t.Fatalf("status %d", got.Code)
			}
		}
	}
	r.Await("cluster.c.membership_healthy", 2)
	ask(10)
	if served[0].Load() == 0 || served[1].Load() == 0 {
		t.Errorf("healthy hosts served %d and %d requests", served[0].Load(), served[1].Load())
	}
	sick[0].Store(true)
	r.Await("cluster.c.membership_healthy", 1)
	before := served[0].Load()
	ask(10)
	if n := served[0].Load() - before; n != 0 {
		t.Errorf("a sick host served %d requests", n)
	}
	if n := r.Stat("cluster.c.health_check.healthy"); n != 1 {
		t.Errorf("health_check.healthy %d", n)
	}
	sick[1].Store(true)
	r.Await("cluster.c.membership_healthy", 0)
	if got := r.Do(client, "GET", "/"); got.Code != 503 {
		t.Errorf("status %d without a healthy host", got.Code)
	}
	sick[0].Store(false)
	r.Await("cluster.c.membership_healthy", 1)
	before = served[0].Load()
	ask(3)
	if n := served[0].Load() - before; n != 3 {
		t.Errorf("a host that is well again served %d of 3 requests", n)
	}
}

func TestGRPC(t *testing.T) {
	ln := rig.Listen(t)
	s, h := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(s, h)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	t.Cleanup(func() { s.Stop(); <-done })
	r := rig.New(t, rig.Options{HCM: hcm, Config: cluster("grpc_health_check: {service_name: shop.Cart}", "http2_protocol_options: {}", ln.Addr().String())})
	r.Await("cluster.c.health_check.success", 0)
	if !rig.Eventually(func() bool { return r.Stat("cluster.c.health_check.failure") > 0 }) {
		t.Error("a service that the server does not know counts as healthy")
	}
	h.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_SERVING)
	r.Await("cluster.c.membership_healthy", 1)
	h.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_NOT_SERVING)
	r.Await("cluster.c.membership_healthy", 0)
	h.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_SERVING)
	r.Await("cluster.c.membership_healthy", 1)
}

// TestTLS: checks use the cluster's transport socket, with the protocol they speak.
func TestTLS(t *testing.T) {
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", two), func(t *testing.T) {
			cert := rig.Certificate(t, "origin.test")
			var checked atomic.Pointer[string]
			addr := rig.OriginTLS(t, cert, two, func(_ http.ResponseWriter, r *http.Request) { p := r.Proto; checked.Store(&p) })
			codec, want := "HTTP1", "HTTP/1.1"
			if two {
				codec, want = "HTTP2", "HTTP/2.0"
			}
			r := rig.New(t, rig.Options{HCM: hcm, Config: cluster("http_health_check: {path: /healthz, codec_client_type: "+codec+"}",
				"transport_socket: "+cert.Upstream("origin.test", ""), addr)})
			r.Await("cluster.c.membership_healthy", 1)
			if got := *checked.Load(); got != want {
				t.Errorf("checked over %s, want %s", got, want)
			}
		})
	}
}
