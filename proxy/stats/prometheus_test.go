package stats

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Envoy's naming breaks these rules of Prometheus' style guide, and so do we,
// to be scraped by dashboards made for Envoy.
var envoyStyle = []string{
	"no help text",
	`counter metrics should have "_total" suffix`,
	"metric names should not contain abbreviated units",
	`use base unit "seconds"`,
}

func TestPrometheusLint(t *testing.T) {
	s := world()
	s.Scope("cluster").Scope("a").Histogram("upstream_cx_length_ms").Record(3)
	var b bytes.Buffer
	if err := s.WritePrometheus(&b, Filter{}); err != nil {
		t.Fatal(err)
	}
	metrics := bytes.Count(b.Bytes(), []byte("# TYPE "))
	problems, err := promlint.New(&b).Lint() // fails on what does not parse
	if err != nil {
		t.Fatalf("not valid exposition: %v", err)
	}
	if metrics < 20 {
		t.Errorf("only %d metrics were checked", metrics)
	}
next:
	for _, p := range problems {
		for _, known := range envoyStyle {
			if strings.Contains(p.Text, known) {
				continue next
			}
		}
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestPrometheusNames(t *testing.T) {
	f := func(name, want string, scopes ...string) {
		t.Helper()
		s := NewStore()
		sc := s.Scope(scopes[0])
		for _, n := range scopes[1:] {
			sc = sc.Scope(n)
		}
		sc.Counter(name).Inc()
		var b bytes.Buffer
		if err := s.WritePrometheus(&b, Filter{}); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(b.String(), "\n")
		if got != want+" 1\n" {
			t.Errorf("%q in %q:\n got %s\nwant %s", name, scopes, got, want)
		}
	}
	// One scope or several, configured names with dots: the same labels.
	f("upstream_rq_total", `envoy_cluster_upstream_rq_total{envoy_cluster_name="a"}`, "cluster.a")
	f("upstream_rq_total", `envoy_cluster_upstream_rq_total{envoy_cluster_name="a"}`, "cluster", "a")
	f("upstream_rq_total", `envoy_cluster_upstream_rq_total{envoy_cluster_name="a.b"}`, "cluster.a.b")
	f("upstream_rq_total", `envoy_cluster_upstream_rq_total{envoy_cluster_name="a.b"}`, "cluster", "a.b")
	f("x", `envoy_cluster_x{envoy_cluster_name="http.y"}`, "cluster", "http.y")
	f("x", `envoy_cluster_http1_x{envoy_cluster_name="a"}`, "cluster", "a", "http1")
	f("x", `envoy_cluster_http1_x{envoy_cluster_name="a"}`, "cluster", "a", "http1.")
	f("cluster.a.x", `envoy_weird_cluster_a_x{}`, "weird")

	// Response codes only where Envoy puts them.
	f("upstream_rq_503", `envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="a"}`, "cluster.a")
	f("upstream_rq_5xx", `envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="a"}`, "cluster.a")
	f("canary.upstream_rq_200", `envoy_cluster_canary_upstream_rq{envoy_response_code="200",envoy_cluster_name="a"}`, "cluster.a")
	f("upstream_rq_abc", `envoy_cluster_upstream_rq_abc{envoy_cluster_name="a"}`, "cluster.a")
	f("upstream_rq_1", `envoy_cluster_upstream_rq_1{envoy_cluster_name="a"}`, "cluster.a")
	f("http3_200", `envoy_cluster_http3_200{envoy_cluster_name="a"}`, "cluster.a")
	f("seq_200", `envoy_seq_200{}`, "")

	f("x", `envoy_http_x{envoy_http_conn_manager_prefix="in"}`, "http.in")
	f("x", `envoy_http_fault_x{envoy_http_conn_manager_prefix="in"}`, "http.in", "fault")
	f("x", `envoy_http_fault_x{envoy_fault_downstream_cluster="c",envoy_http_conn_manager_prefix="in"}`, "http.in", "fault", "c")
	f("x", `envoy_http_rds_x{envoy_http_conn_manager_prefix="in",envoy_rds_route_config="r.1"}`, "http.in", "rds", "r.1")
	f("denied", `envoy_http_rbac_denied{envoy_rbac_http_prefix="rp",envoy_http_conn_manager_prefix="in"}`, "http.in", "rbac", "rp")
	f("denied", `envoy_http_rbac_policy_denied{envoy_rbac_policy_name="a b",envoy_http_conn_manager_prefix="in"}`, "http.in", "rbac", "policy", "a b")
	f("denied", `envoy_http_rbac_policy_denied{envoy_rbac_policy_name="a.b",envoy_rbac_http_prefix="rp",envoy_http_conn_manager_prefix="in"}`, "http.in", "rbac", "rp", "policy", "a.b")
	f("x", `envoy_listener_x{envoy_listener_address="[__1]_80"}`, "listener", "[::1]:80")
	f("x", `envoy_listener_http_x{envoy_http_conn_manager_prefix="in",envoy_listener_address="0.0.0.0_80"}`, "listener", "0.0.0.0:80", "http", "in")
	f("x", `envoy_listener_manager_x{}`, "listener_manager")
	f("x", `envoy_vhost_vcluster_x{envoy_virtual_cluster="vc",envoy_virtual_host="v"}`, "vhost", "v", "vcluster", "vc")
	f("x", `envoy_vhost_route_x{envoy_virtual_host="v",envoy_route="r"}`, "vhost.v", "route.r")
	f("x", `envoy_tcp_x{envoy_tcp_prefix="db"}`, "tcp.db")
	f("enabled", `envoy_http_local_rate_limit_enabled{envoy_local_http_ratelimit_prefix="rl"}`, "rl.http_local_rate_limit")
	f("x", `envoy_cluster_manager_x{}`, "cluster_manager")
	f("x", `envoy_cluster_tcp_db_x{envoy_cluster_name="a"}`, "cluster", "a", "tcp", "db")
	f("x", `envoy_route_r_x{}`, "route", "r")
	f("x", `envoy_cluster_http_local_rate_limit_x{envoy_cluster_name="http_local_rate_limit"}`, "cluster", "http_local_rate_limit", "http_local_rate_limit")
	f("x", `envoy_listener_ssl_cipher_y_x{envoy_listener_address="l"}`, "listener", "l", "ssl.cipher", "y")
	f("x", `envoy_listener_admin_x{}`, "listener", "admin")
	f("x", `envoy_cluster_x{envoy_cluster_name="worker_1"}`, "cluster", "worker_1")
	f("versions.v2.x", `envoy_proxy_proto_x{envoy_proxy_protocol_version="2"}`, "proxy_proto")
	f("x", `weir_intercept_x{}`, "weir.intercept")
	f("weird-name/ü", `envoy_cluster_weird_name___{envoy_cluster_name="a/ü"}`, "cluster", "a/ü")
	f("x", "envoy_cluster_x{envoy_cluster_name=\"\uFFFD\"}", "cluster", "\xff")
}

func TestFixedTags(t *testing.T) {
	s := NewStore()
	s.FixTag("zone", "us")
	s.FixTag("zone", "eu")
	s.FixTag("envoy.cluster_name", "no")
	s.FixTag("a.b", `c"d`)
	s.Scope("cluster.a").Counter("upstream_rq_200").Inc()
	s.Scope("server").Gauge("uptime")
	var b bytes.Buffer
	if err := s.WritePrometheus(&b, Filter{}); err != nil {
		t.Fatal(err)
	}
	want := `# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{envoy_response_code="200",zone="eu",a_b="c\"d",envoy_cluster_name="a"} 1
# TYPE envoy_server_uptime gauge
envoy_server_uptime{zone="eu",envoy_cluster_name="no",a_b="c\"d"} 0
`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", &b, want)
	}
}

func TestPrometheusMergesWhatSanitationMakesEqual(t *testing.T) {
	s := NewStore()
	sc := s.Scope("cluster.a")
	sc.Counter("x-y").Add(2)
	sc.Counter("x.y").Add(3)
	sc.Gauge("x_y").Set(-4)
	sc.Gauge("x/y").Set(5)
	sc.Histogram("x_y").Record(6)
	sc.Histogram("x+y").Record(7)
	var b bytes.Buffer
	if err := s.WritePrometheus(&b, Filter{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# TYPE envoy_cluster_x_y counter\nenvoy_cluster_x_y{envoy_cluster_name=\"a\"} 5\n",
		"# TYPE envoy_cluster_x_y_gauge gauge\nenvoy_cluster_x_y_gauge{envoy_cluster_name=\"a\"} 1\n",
		"# TYPE envoy_cluster_x_y_histogram histogram\n",
		"envoy_cluster_x_y_histogram_sum{envoy_cluster_name=\"a\"} 13\n",
		"envoy_cluster_x_y_histogram_bucket{envoy_cluster_name=\"a\",le=\"10\"} 2\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, &b)
		}
	}
	if _, err := promlint.New(&b).Lint(); err != nil {
		t.Errorf("not valid exposition: %v", err)
	}
}

func FuzzPrometheusIsValid(f *testing.F) {
	f.Add("cluster.a", "upstream_rq_200")
	f.Add("listener", "0.0.0.0:80")
	f.Add("http..x", "\xff\n\"\\")
	f.Add("", "")
	f.Add("weir", "9")
	f.Fuzz(func(t *testing.T, scope, name string) {
		s := NewStore()
		sc := s.Scope(scope)
		sc.Counter(name).Inc()
		sc.Scope(name).Gauge(scope).Inc()
		sc.Histogram(name).Record(300)
		s.Scope("cluster").Scope(name).Counter("x").Inc()
		var b bytes.Buffer
		if err := s.WritePrometheus(&b, Filter{}); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		if _, err := promlint.New(&b).Lint(); err != nil {
			t.Errorf("%q, %q: %v in:\n%s", scope, name, err, out)
		}
		if txt := text(t, s, Filter{}); strings.Count(txt, "\n") != 4 {
			t.Errorf("%q, %q: not one line each:\n%q", scope, name, txt)
		}
	})
}
