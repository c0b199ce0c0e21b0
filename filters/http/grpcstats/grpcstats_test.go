package grpcstats_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hcm(cfg string) string {
	return `
stat_prefix: test
http_filters:
- name: stats
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig
` + cfg + `
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - {match: {path: /a.B/Dead}, route: {cluster: dead}}
    - {match: {path: /a.B/Direct}, direct_response: {status: 503}}
    - {match: {prefix: /}, route: {cluster: a, prefix_rewrite: /x/y}}
`
}

const message = "\x00\x00\x00\x00\x02hi"

// serve answers as the request's fields say.
func serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("content-type", "application/grpc+proto")
	if st := r.Header.Get("x-head"); st != "" {
		w.Header().Set("grpc-status", st)
		return
	}
	w.Header().Set("trailer", "grpc-status")
	_, _ = io.WriteString(w, message+message)
	if st := r.Header.Get("x-trailer"); st != "" {
		w.Header().Set("grpc-status", st)
	}
}

// names are the statistics that are compared, without cluster.
var names = strings.Fields("0 1 14 success failure total request_message_count response_message_count")

func counts(r *rig.Rig, scope string) string {
	var b strings.Builder
	for _, n := range names {
		if v := r.Stat(scope + "." + n); v > 0 {
			fmt.Fprintf(&b, "%s=%d ", n, v)
		}
	}
	return strings.TrimSpace(b.String())
}

func call(t *testing.T, r *rig.Rig, c *http.Client, path, contentType, body string, headers ...string) {
	t.Helper()
	req, err := http.NewRequest("POST", "http://"+r.Addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("content-type", contentType)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// calls makes ten requests, eight of which are calls.
func calls(t *testing.T, r *rig.Rig) {
	c := rig.Client(t)
	const g = "application/grpc"
	call(t, r, c, "/a.B/M", g, message, "x-trailer", "0")
	call(t, r, c, "/a.B/M?q=1", g+"+proto", message+message, "x-trailer", "1")
	call(t, r, c, "/a.B/N", g, message, "x-head", "14")
	call(t, r, c, "/a.B/N", g, "", "x-head", "99")
	call(t, r, c, "/a.B/N", g, "") // without a status
	call(t, r, c, "/a.B/Dead", g, "")
	call(t, r, c, "/a.B/Direct", g, message)
	call(t, r, c, "/a.B/M", "application/grpc-web", message, "x-trailer", "0")
	call(t, r, c, "/a.B/M", "", message, "x-trailer", "0")
	call(t, r, c, "/nothing", g, message, "x-trailer", "0")
}

func TestCounts(t *testing.T) {
	const (
		m   = "0=1 1=1 success=1 failure=1 total=2 request_message_count=3 response_message_count=4"
		n   = "14=1 failure=2 total=2 request_message_count=1 response_message_count=2"
		all = "0=1 1=1 14=1 success=1 failure=3 total=4 request_message_count=4 response_message_count=6"
	)
	for _, c := range []struct {
		name, cfg string
		want      map[string]string // by scope
	}{
		{"cluster", "", map[string]string{"cluster.a.grpc": all, "cluster.a.grpc.a.B.M": "", "cluster.dead.grpc": "14=1 failure=1 total=1"}},
		{"all methods", "    stats_for_all_methods: true", map[string]string{
			"cluster.a.grpc": "", "cluster.a.grpc.a.B.M": m, "cluster.a.grpc.a.B.N": n, "cluster.dead.grpc.a.B.Dead": "14=1 failure=1 total=1",
		}},
		{"all methods, dots replaced", "    stats_for_all_methods: true\n    replace_dots_in_grpc_service_name: true", map[string]string{"cluster.a.grpc.a_B.M": m}},
		{"allowlist", "    individual_method_stats_allowlist: {services: [{name: a.B, method_names: [M]}]}", map[string]string{"cluster.a.grpc": n, "cluster.a.grpc.a.B.M": m}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig.New(t, rig.Options{HCM: hcm(c.cfg), Origins: map[string]string{"a": rig.Origin(t, serve), "dead": rig.DeadAddr(t)}})
			calls(t, r)
			for scope, want := range c.want {
				if got := counts(r, scope); got != want {
					t.Errorf("%s: %s, want %s", scope, got, want)
				}
			}
		})
	}
}

// TestMethodsAreBounded: clients choose the names.
func TestMethodsAreBounded(t *testing.T) {
	r := rig.New(t, rig.Options{HCM: hcm("    stats_for_all_methods: true"), Origins: map[string]string{"a": rig.Origin(t, serve)}})
	c := rig.Client(t)
	for i := range 1024 + 3 {
		call(t, r, c, fmt.Sprintf("/s/m%d", i), "application/grpc", "", "x-head", "0")
	}
	if got := counts(r, "cluster.a.grpc.s.m1023"); got != "0=1 success=1 total=1" {
		t.Errorf("the last method that is kept apart: %s", got)
	}
	if got := counts(r, "cluster.a.grpc"); got != "0=3 success=3 total=3" {
		t.Errorf("further ones: %s", got)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for cfg, want := range map[string]string{
		"    individual_method_stats_allowlist: {services: [{method_names: [M]}]}": "individual_method_stats_allowlist",
	} {
		if _, err := rig.Parse(hcm(cfg)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", cfg, err)
		}
	}
}

// TestOtherFiltersOfGRPC are not there, and the error says so by name.
func TestOtherFiltersOfGRPC(t *testing.T) {
	for name, cfg := range map[string]string{"grpc_web": "grpc_web.v3.GrpcWeb", "grpc_http1_bridge": "grpc_http1_bridge.v3.Config"} {
		_, err := rig.Parse(strings.Replace(hcm(""), "grpc_stats.v3.FilterConfig", cfg, 1))
		t.Log(err)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
