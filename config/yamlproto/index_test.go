package yamlproto

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/fielderr"
)

func read(t *testing.T, file string, m proto.Message) *Index {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	x, err := Unmarshal(data, m, Options{File: "b.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestIndexAt(t *testing.T) {
	x := read(t, "testdata/good/bootstrap.yaml", &bootstrapv3.Bootstrap{})
	data, err := os.ReadFile("testdata/good/bootstrap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	hcm := "static_resources.listeners[0].filter_chains[1].filters[0].typed_config"
	for _, c := range []struct {
		path string
		ok   bool
		want string // how the text at the position starts
	}{
		{"node.id", true, "gw-1"},
		{"admin.address.pipe", true, "pipe: {path"},
		{"static_resources.listeners[0]", true, "name: in"},
		{hcm, true, "typed_config:"},
		{hcm + ".route_config.virtual_hosts[0]", true, "name: web"},
		{hcm + ".route_config.virtual_hosts[0].routes[0].route.timeout", true, "1.5s"},
		{hcm + ".route_config.virtual_hosts[0].routes[0].route.weighted_clusters.clusters[1].weight", true, "10"},
		{hcm + `.route_config.virtual_hosts[0].typed_per_filter_config["envoy.filters.http.cors"].allow_methods`, true, "GET"},
		{hcm + ".http_filters[1].typed_config.value.a.b[0]", true, "1]"},
		{`static_resources.clusters[0].typed_extension_protocol_options["weir.circuit_breaker"].value.consecutiveFailures`, true, "5}"},
		// not in the text: the nearest that is
		{hcm + ".route_config.virtual_hosts[0].retry_policy.num_retries", true, "name: web"},
		{hcm + ".route_config.virtual_hosts[7].name", true, "virtual_hosts:"},
		{"static_resources.secrets[0]", true, "static_resources:"},
		{"overload_manager.actions", false, "node:"},
		{"", true, "node:"},
		{"node.locality[", true, "locality:"},
		{`node["id"]`, true, "gw-1"},
		{"static_resources.listeners[-1]", true, "listeners:"},
		{"static_resources.listeners[99999999999999999999]", true, "listeners:"},
	} {
		p, ok := x.At(c.path)
		if ok != c.ok || p.File != "b.yaml" || p.Line < 1 || !strings.HasPrefix(lines[p.Line-1][p.Column-1:], c.want) {
			t.Errorf("At(%q) = %v, %v; want %q", c.path, p, ok, c.want)
		}
	}
}

func TestIndexWrapAndSub(t *testing.T) {
	x := read(t, "testdata/good/bootstrap.yaml", &bootstrapv3.Bootstrap{})
	cause := errors.New("unknown cluster \"v2\"")
	sub := x.Sub("static_resources.listeners[0]").Sub("filter_chains[0]")
	e := sub.Wrap("filters[0].typed_config.weighted_clusters.clusters[1].name", cause)
	want := `b.yaml:59:61: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.weighted_clusters.clusters[1].name: unknown cluster "v2"`
	if e.Error() != want || !errors.Is(e, cause) || !strings.Contains(e.Source, "{name: v2, weight: 10}") {
		t.Errorf("got  %s\nwant %s\nsource %q", e, want, e.Source)
	}
	// A part that the text does not have has no parts of its own, whatever the enclosing message has.
	if p, _ := x.Sub("static_resources.clusters[0].health_checks[0]").At("name"); p.Line == 0 {
		t.Error("no position for an absent part")
	} else if q, _ := x.At("static_resources.clusters[0]"); p != q {
		t.Errorf("absent part at %v, want %v", p, q)
	}
	var none *Index
	if got := none.Sub("a").Wrap("b[1]", cause).Error(); got != `b[1]: unknown cluster "v2"` {
		t.Errorf("nil index: %s", got)
	}
}

// What a decoder says of several fields is printed in the order of the text.
func TestIndexErrors(t *testing.T) {
	x := read(t, "testdata/good/bootstrap.yaml", &bootstrapv3.Bootstrap{}).Sub("static_resources.clusters[0]")
	var l fielderr.List
	l.Addf("outlier_detection.interval", "shorter than %s", "a second")
	l.Addf("lb_policy", "unknown")
	got := x.Errors(fmt.Errorf("cluster: %w", l.Err()))
	if len(got) != 2 || got[0].Path != "static_resources.clusters[0].lb_policy" || got[0].Pos.Line != 149 || got[1].Pos.Line != 154 {
		t.Errorf("got %v", got)
	}
	if x.Errors(nil) != nil {
		t.Error("no error has no positions")
	}
}

// A merged index follows proto.Merge.
func TestIndexMerge(t *testing.T) {
	a, b := &clusterv3.Cluster{}, &clusterv3.Cluster{}
	ia, err := Unmarshal([]byte("name: a\nhealth_checks:\n- timeout: 1s\nload_assignment:\n  cluster_name: a\ntyped_extension_protocol_options:\n  x: {}\n"), a, Options{File: "a"})
	if err != nil {
		t.Fatal(err)
	}
	ib, err := Unmarshal([]byte("name: b\nhealth_checks: [{timeout: 2s}]\nload_assignment: {policy: {}}\ntyped_extension_protocol_options: {y: {}, x: {}}\n"), b, Options{File: "b"})
	if err != nil {
		t.Fatal(err)
	}
	proto.Merge(a, b)
	x := ia.Merge(ib)
	for path, want := range map[string]string{
		"name":                                  "b:1:7",
		"health_checks[0].timeout":              "a:3:12",
		"health_checks[1].timeout":              "b:2:27",
		"load_assignment.cluster_name":          "a:5:17",
		"load_assignment.policy":                "b:3:19",
		`typed_extension_protocol_options`:      "a:6:1",
		`typed_extension_protocol_options["x"]`: "b:4:43",
	} {
		if p, _ := x.At(path); p.String() != want {
			t.Errorf("%s at %v, want %s", path, p, want)
		}
	}
	if a.Name != "b" || len(a.HealthChecks) != 2 {
		t.Errorf("merged %v", a)
	}
}
