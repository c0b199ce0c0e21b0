package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/proxy/admin"
	"github.com/weirproxy/weir/proxy/explain/dryrun"
	"github.com/weirproxy/weir/test/rig"
)

// TestAgainst asks a running data plane what files would change.
func TestAgainst(t *testing.T) {
	origin := rig.Origin(t, func(http.ResponseWriter, *http.Request) {})
	// The rig's resources are static; so is the bootstrap that is asked about.
	text := func(routes, clusters, more string) string {
		return rig.Expand(fmt.Sprintf(`
listeners:
- name: in
  address: {$loopback}
  filter_chains: [{filters: [{name: hcm, typed_config: {$hcm, stat_prefix: test, http_filters: [$router], route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [%s]}]}}}]}]
clusters:
- {name: a, type: STATIC, connect_timeout: 1s, load_assignment: %s}
%s%s`, routes, rig.Endpoint("a", origin), clusters, more))
	}
	other := "- {name: b, type: STATIC, connect_timeout: 1s, load_assignment: " + rig.Endpoint("b", origin) + "}\n"
	routes := "{match: {prefix: /a}, route: {cluster: a}}, {match: {prefix: /b}, route: {cluster: b}}"
	r := rig.New(t, rig.Options{Config: text(routes, other, "")})
	ask := rig.Client(t)
	for _, path := range []string{"/a/1?token=secret", "/b/1"} {
		// The sample takes one request in a while.
		if !rig.Eventually(func() bool {
			if got := r.Do(ask, "GET", path, "authorization", "secret"); got.Code != 200 {
				t.Fatal(got)
			}
			for _, q := range r.Proxy.Flows().Sample() {
				if strings.HasPrefix(path, q.Path) {
					return true
				}
			}
			return false
		}) {
			t.Fatal("not in the sample:", path)
		}
	}
	dec := &config.Decoder{Registry: rig.Registry(), Mode: support.Reject}
	sock := serveAdmin(t, admin.New(admin.Options{Proxy: r.Proxy, Stats: r.Store, Decode: dec.Decode}))

	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	boot := func(text string) string {
		return write("boot.yaml", "static_resources:\n"+strings.ReplaceAll(text, "\n", "\n  "))
	}
	folder := t.TempDir()
	for path, name := range map[string]string{"a.yaml": "one", "more/deep/b.yml": "two", ".git/c.yaml": "hidden", "more/.d.yaml": "hidden"} {
		path = filepath.Join(folder, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(rig.Expand("{$Cluster, name: "+name+", connect_timeout: 0s}")), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path string
		code       int
		want, not  []string
	}{
		{"the same", boot(text(routes, other, "")), 0, []string{"nothing would change", "all would go where they go now"}, []string{"secret"}},
		{"a new cluster", boot(text(routes, other, strings.NewReplacer("name: b,", "name: c,", "cluster_name: b,", "cluster_name: c,").Replace(other))), 0, []string{`+ cluster "c"`}, nil},
		{
			"another way", boot(text(strings.Replace(routes, "cluster: b", "cluster: a", 1), other, "")), 0,
			[]string{`~ listener "in": filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[1].route.cluster`, "/b/1 by \"in\": cluster b → cluster a"},
			nil,
		},
		{
			"a route is lost", boot(text("{match: {prefix: /a}, route: {cluster: a}}", other, "")), 3,
			[]string{"/b/1", "cluster b → NOWHERE, answered 404: no route"},
			nil,
		},
		{
			"a cluster is lost", boot(text(routes, "", "")), 3,
			[]string{`- cluster "b"`, `there is no cluster "b"`},
			nil,
		},
		{
			"rejected", write("cluster.yaml", rig.Expand("{$Cluster, name: bad, connect_timeout: 0s}")), 3,
			[]string{`! cluster "bad" is rejected: connect_timeout: value must be greater than 0s`},
			nil,
		},
		{
			"a folder with folders inside", folder, 3,
			[]string{`! cluster "one" is rejected: connect_timeout: value must be greater than 0s`, `! cluster "two" is rejected: connect_timeout: value must be greater than 0s`},
			[]string{"hidden"},
		},
		{
			"the name of a static one", write("cluster.yaml", rig.Expand("{$Cluster, name: a, connect_timeout: 1s}")), 3,
			[]string{`! cluster "a" is rejected: a static cluster has this name`},
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := weir(t, "validate", "--against", sock, c.path)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errs)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q is not in:\n%s", w, out)
				}
			}
			for _, n := range c.not {
				if strings.Contains(out, n) {
					t.Errorf("%q is in:\n%s", n, out)
				}
			}
			code, out, _ = weir(t, "validate", "--against", sock, "--output", "json", c.path)
			var report dryrun.Report
			if err := json.Unmarshal([]byte(out), &report); err != nil || code != c.code || report.Breaks() != (c.code == 3) {
				t.Errorf("as JSON: %v, exit code %d:\n%s", err, code, out)
			}
		})
	}
	if code, _, errs := weir(t, "validate", "--against", sock+"-not-there", boot(text(routes, other, ""))); code != 1 {
		t.Errorf("nobody to ask: exit code %d, %s", code, errs)
	}
}

// serveAdmin serves an admin interface on a unix socket until the test ends.
func serveAdmin(t *testing.T, s *admin.Server) string {
	sock := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ctx, ln) }()
	t.Cleanup(func() { cancel(); <-done })
	return sock
}
