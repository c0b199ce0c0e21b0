package yamlproto

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/weirproxy/weir/config/protos"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	if len(protos.Types()) == 0 {
		panic("no types")
	}
	goleak.VerifyTestMain(m)
}

// golden compares text with a file of testdata, or writes the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// target is what a file of testdata is read into: a Bootstrap when it is called so, a Cluster otherwise.
func target(file string) proto.Message {
	if strings.HasPrefix(filepath.Base(file), "bootstrap") {
		return &bootstrapv3.Bootstrap{}
	}
	return &clusterv3.Cluster{}
}

func TestErrorsGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.[yj][as][mo][ln]")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Unmarshal(data, target(file), Options{File: filepath.Base(file)})
			var es Errors
			if !errors.As(err, &es) {
				t.Fatalf("error is %T, want Errors", err)
			}
			golden(t, file+".golden", es.Error()+"\n")
		})
	}
}

// viaProtojson reads YAML the other way: as plain values, then JSON, then protojson.
func viaProtojson(t *testing.T, data []byte, m proto.Message) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(js, m); err != nil {
		t.Fatal(err)
	}
}

// A large realistic bootstrap gives the same proto as protojson, from YAML and from JSON, with and without tabs.
func TestBootstrapLikeProtojson(t *testing.T) {
	data, err := os.ReadFile("testdata/good/bootstrap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &bootstrapv3.Bootstrap{}
	viaProtojson(t, data, want)
	got := &bootstrapv3.Bootstrap{}
	x, err := Unmarshal(data, got, Options{File: "bootstrap.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("proto differs (-protojson +yamlproto):\n%s", diff)
	}
	if es := x.Validate(got); es != nil {
		t.Errorf("Validate: %v", es)
	}
	for _, indent := range []string{"", "\t"} {
		js, err := protojson.MarshalOptions{Indent: indent}.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		again := &bootstrapv3.Bootstrap{}
		if _, err := Unmarshal(js, again, Options{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, again, protocmp.Transform()); diff != "" {
			t.Errorf("JSON with indent %q differs:\n%s", indent, diff)
		}
	}
}

// Every accepted spelling of a value is what protojson makes of it.
func TestValuesLikeProtojson(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		m          proto.Message
	}{
		{"camel and snake", "altStatName: a\nconnect_timeout: 1.5s", &clusterv3.Cluster{}},
		{"durations", "connect_timeout: 0.000000001s\ncleanup_interval: -0s\ndns_refresh_rate: 315576000000s", &clusterv3.Cluster{}},
		{"numbers in strings", `{per_connection_buffer_limit_bytes: "32768", max_requests_per_connection: 1e3}`, &clusterv3.Cluster{}},
		{"whole floats", "max_requests_per_connection: 7.0", &clusterv3.Cluster{}},
		{"int64 in string", `alt_port: 80` + "\nhttp_health_check: {path: /, expected_statuses: [{start: \"200\", end: 300}]}", &corev3.HealthCheck{}},
		{"enum by number", "lb_policy: 3\ntype: 0", &clusterv3.Cluster{}},
		{"unknown enum number", "lb_policy: 77", &clusterv3.Cluster{}},
		{"null is unset", "name: null\nload_assignment: ~\nhealth_checks:\n", &clusterv3.Cluster{}},
		{"empty message", "load_assignment: {}\nhealth_checks: []", &clusterv3.Cluster{}},
		{"wrapper", "respect_dns_ttl: true", &clusterv3.Cluster{}},
		{"bool wrapper false", "wait_for_warm_on_init: false", &clusterv3.Cluster{}},
		{"double wrapper", "round_robin_lb_config: {slow_start_config: {aggression: {default_value: 1.25, runtime_key: k}}}", &clusterv3.Cluster{}},
		{"struct", `metadata: {filter_metadata: {envoy.lb: {s: x, n: 1.5, i: 7, b: true, z: null, l: [1, a, null, [2], {k: v}], m: {}}}}`, &clusterv3.Cluster{}},
		{"any in map", `typed_extension_protocol_options: {a.b: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicitHttpConfig: {httpProtocolOptions: {}}}}`, &clusterv3.Cluster{}},
		{"any of a well-known type", `typed_extension_protocol_options: {d: {"@type": type.googleapis.com/google.protobuf.Duration, value: 3s}, s: {"@type": type.googleapis.com/google.protobuf.StringValue, value: x}}`, &clusterv3.Cluster{}},
		{"any of Any", `typed_extension_protocol_options: {d: {"@type": type.googleapis.com/google.protobuf.Any, value: {"@type": type.googleapis.com/google.protobuf.Struct, value: {a: 1}}}}`, &clusterv3.Cluster{}},
		{"type not first", `{name: x, typed_config: {stat_prefix: s, cluster: c, "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy}}`, &corev3.TypedExtensionConfig{}},
		{"bytes", "inline_bytes: aGVsbG8=", &corev3.DataSource{}},
		{"bytes unpadded, URL-safe", "inline_bytes: _-8", &corev3.DataSource{}},
		{"anchors", "load_assignment: &a {cluster_name: x}\nname: n\nhealth_checks: [&h {timeout: 1s, tcp_health_check: {}}, *h]", &clusterv3.Cluster{}},
		{"block text", "inline_string: |\n  a\n  b\n", &corev3.DataSource{}},
		{"emoji", `inline_string: "\U0001F600 é"`, &corev3.DataSource{}},
		{"dates are text", "inline_string: 2026-01-02", &corev3.DataSource{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.m.ProtoReflect().New().Interface()
			if c.name == "dates are text" { // the plain reader makes a time of it
				want.(*corev3.DataSource).Specifier = &corev3.DataSource_InlineString{InlineString: "2026-01-02"}
			} else {
				viaProtojson(t, []byte(c.yaml), want)
			}
			if _, err := Unmarshal([]byte(c.yaml), c.m, Options{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, c.m, protocmp.Transform()); diff != "" {
				t.Errorf("-protojson +yamlproto:\n%s", diff)
			}
		})
	}
}

// YAML has spellings of its own, which JSON cannot say.
func TestYAMLOnlyValues(t *testing.T) {
	m := &clusterv3.Cluster{}
	text := "per_connection_buffer_limit_bytes: 0x8000\nmax_requests_per_connection: 1_000\ncommon_lb_config: {healthy_panic_threshold: {value: 5e1}}\n"
	if _, err := Unmarshal([]byte(text), m, Options{}); err != nil {
		t.Fatal(err)
	}
	if m.GetPerConnectionBufferLimitBytes().GetValue() != 32768 || m.GetMaxRequestsPerConnection().GetValue() != 1000 ||
		m.GetCommonLbConfig().GetHealthyPanicThreshold().GetValue() != 50 {
		t.Errorf("got %v", m)
	}
	p := &corev3.Pipe{}
	if _, err := Unmarshal([]byte("{path: /run/x, mode: 0600}"), p, Options{}); err != nil || p.Mode != 0o600 {
		t.Errorf("mode %o, %v", p.Mode, err)
	}
}

// What Envoy 1.40 accepts beyond the JSON mapping (tried with --mode validate) is accepted: a file that starts Envoy starts us.
func TestLeniencyOfEnvoy(t *testing.T) {
	m := &clusterv3.Cluster{}
	text := `name: 1.5
lb_policy: least_request
dns_lookup_family: v4-only
type: "2"
respect_dns_ttl: yes
use_tcp_for_dns_lookups: "true"
ignore_health_on_host_removal: On
track_timeout_budgets: True
`
	if _, err := Unmarshal([]byte(text), m, Options{}); err != nil {
		t.Fatal(err)
	}
	want := &clusterv3.Cluster{
		Name: "1.5", LbPolicy: clusterv3.Cluster_LEAST_REQUEST, DnsLookupFamily: clusterv3.Cluster_V4_ONLY,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS},
		RespectDnsTtl:        true, UseTcpForDnsLookups: true, IgnoreHealthOnHostRemoval: true, TrackTimeoutBudgets: true,
	}
	if diff := cmp.Diff(want, m, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, text := range []string{"respect_dns_ttl: 'yes'", "respect_dns_ttl: 1", "name: 12", "name: yes", "name: true", `{"name": 1.5}`} {
		_, err := Unmarshal([]byte(text), &clusterv3.Cluster{}, Options{})
		if wantErr := text != "name: yes"; (err != nil) != wantErr {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestEmptyDocument(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "null", "\xef\xbb\xbf"} {
		m := &clusterv3.Cluster{}
		if x, err := Unmarshal([]byte(text), m, Options{}); err != nil || x == nil || !proto.Equal(m, &clusterv3.Cluster{}) {
			t.Errorf("%q: %v, %v", text, m, err)
		}
	}
}

// Aliases may not stand for more than the text can justify, nor for themselves, and nesting ends.
func TestHostileYAML(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("metadata: {filter_metadata: {x: {a0: &a0 [1,1,1,1,1,1,1,1,1,1]")
	for i := 1; i < 9; i++ {
		prev := "*a" + string(rune('0'+i-1))
		bomb.WriteString(", a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat(prev+",", 10) + "]")
	}
	bomb.WriteString("}}}")
	for name, c := range map[string]struct{ text, want string }{
		"bomb":    {bomb.String(), "aliases stand for more than"},
		"deep":    {"metadata: {filter_metadata: {x: {y: " + strings.Repeat("[", 600) + strings.Repeat("]", 600) + "}}}", "levels deep"},
		"deeper":  {strings.Repeat("[", 20000), "exceeded max depth"},
		"control": {"name: \x00", "control characters are not allowed"},
	} {
		start := time.Now()
		_, err := Unmarshal([]byte(c.text), &clusterv3.Cluster{}, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

// A mistake far down in a long file costs seconds at most to find.
func TestBrokenLineOfLongText(t *testing.T) {
	line := "- {name: a, value: [1, 2, 3]}\n"
	for _, n := range []int{2_000, 15_000} {
		text := strings.Repeat(line, n) + "- [\n" + strings.Repeat(line, 100)
		_, err := Unmarshal([]byte(text), &clusterv3.Cluster{}, Options{})
		var es Errors
		if !errors.As(err, &es) || len(es) != 1 || !strings.Contains(es[0].Message, "not valid YAML") {
			t.Fatalf("got %v", err)
		}
		if n < 10_000 && es[0].Pos.Line != n+1 {
			t.Errorf("found at line %d, want %d", es[0].Pos.Line, n+1)
		}
	}
}

func TestNonFiniteNumbers(t *testing.T) {
	m := &corev3.RuntimeDouble{}
	if _, err := Unmarshal([]byte("{default_value: .nan, runtime_key: x}"), m, Options{}); err != nil || !math.IsNaN(m.DefaultValue) {
		t.Errorf("%v, %v", m, err)
	}
}
