package bootstrap

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func files(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return names
}

func (s *Source) summary() string {
	if s == nil {
		return "none"
	}
	flat := *s
	flat.API = nil
	text := fmt.Sprintf("%+v", flat)
	if s.API != nil {
		text += fmt.Sprintf(" by %+v", *s.API)
	}
	return text
}

func summary(b *Bootstrap) string {
	var s strings.Builder
	fmt.Fprintf(&s, "node %q in %q\n", b.Node.GetId(), b.Node.GetCluster())
	if b.Admin != nil {
		fmt.Fprintf(&s, "admin %s %s %#o\n", b.Admin.Network, b.Admin.Address, b.Admin.Mode)
	}
	fmt.Fprintf(&s, "ads %s\nlds %s\ncds %s\n", b.ADS.summary(), b.LDS.summary(), b.CDS.summary())
	for _, l := range b.Runtime {
		fmt.Fprintf(&s, "runtime layer %q", l.Name)
		switch {
		case l.Static != nil:
			for _, k := range slices.Sorted(maps.Keys(l.Static.Values)) {
				fmt.Fprintf(&s, " %s=%s", k, l.Static.Values[k].Text)
			}
		case l.Disk != nil:
			fmt.Fprintf(&s, " disk %+v", *l.Disk)
		case l.Admin:
			s.WriteString(" admin")
		case l.RTDS != nil:
			fmt.Fprintf(&s, " rtds %+v", *l.RTDS)
		}
		s.WriteByte('\n')
	}
	if b.MaxConnections > 0 {
		fmt.Fprintf(&s, "%d connections at most\n", b.MaxConnections)
	}
	for _, list := range [][]yamlproto.Resource{b.Static.Listeners, b.Static.Clusters, b.Static.Secrets} {
		for _, r := range list {
			p, _ := r.Index.At("")
			fmt.Fprintf(&s, "%s %q, %d bytes, %s at %v\n", r.Any.TypeUrl, r.Name, len(r.Any.Value), r.Index.Prefix(), p)
		}
	}
	return s.String()
}

func TestLoadGood(t *testing.T) {
	for _, file := range files(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := Load(file, "", Options{})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, file+".golden", summary(b))
		})
	}
}

func TestLoadWrong(t *testing.T) {
	for _, file := range files(t, "testdata/wrong/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(file, "", Options{})
			var es yamlproto.Errors
			if !errors.As(err, &es) {
				t.Fatalf("got %v", err)
			}
			golden(t, file+".golden", es.Error()+"\n")
		})
	}
}

// --config-yaml is merged over the file: lists are appended, single values replaced, and errors point into either text.
func TestConfigYAMLMerges(t *testing.T) {
	b, err := Load("testdata/good/static.yaml", "node: {id: over}\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}\nstatic_resources: {clusters: [{name: extra}]}", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Node.GetId() != "over" || b.Admin.Address != "127.0.0.1:1" || len(b.Static.Clusters) != 2 {
		t.Errorf("got %s", summary(b))
	}
	if p, _ := b.Static.Clusters[1].Index.At("name"); p.String() != "--config-yaml:3:38" {
		t.Errorf("the merged cluster is at %v", p)
	}
	_, err = Load("testdata/good/static.yaml", "static_resources: {listeners: [{name: in}], clusters: [{name: web, connect_timeout: 0s}]}", Options{})
	for _, want := range []string{
		`--config-yaml:1:32: listener "in" is defined twice, first at testdata/good/static.yaml:5:5`,
		`cluster "web" is defined twice`, "value must be greater than 0s",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	if b, err := Load("", "node: {id: only}", Options{}); err != nil || b.Node.GetId() != "only" {
		t.Errorf("without a file: %v, %v", b, err)
	}
}

// Errors found later, by whoever decodes a static resource, point into the bootstrap.
func TestStaticResourcesCarryPositions(t *testing.T) {
	b, err := Load("testdata/good/static.yaml", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := b.Static.Listeners[0]
	var l listenerv3.Listener
	if err := r.Any.UnmarshalTo(&l); err != nil || l.Name != "in" {
		t.Fatal(err)
	}
	got := r.Index.Wrap("filter_chains[0].filters[0].typed_config.cluster", errors.New("unknown cluster")).Error()
	want := "testdata/good/static.yaml:17:20: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.cluster: unknown cluster"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDegradeKeepsFindings(t *testing.T) {
	const text = "stats_sinks: [{name: x}]\noverload_manager: {}"
	if _, err := Load("", text, Options{Mode: support.Degrade}); err == nil || strings.Contains(err.Error(), "stats_sinks") {
		t.Errorf("overload_manager is always rejected, stats_sinks is not: %v", err)
	}
	b, err := Load("", "stats_sinks: [{name: x}]", Options{Mode: support.Degrade})
	if err != nil || len(b.Findings) != 1 || b.Findings[0].Path != "stats_sinks" {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct{ path, yaml, want string }{
		{"", "", "no configuration: give a file with -c, or --config-yaml"},
		{"testdata/absent.yaml", "", "read bootstrap: open testdata/absent.yaml: no such file or directory"},
		{"testdata/wrong/text.pb_text", "", "read bootstrap testdata/wrong/text.pb_text: no bootstrap in the format of its name: proto:"},
		{"testdata/good/path.yaml", "x: [", "not valid YAML"},
	} {
		if _, err := Load(c.path, c.yaml, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Load(%q, %q): %v, want %q", c.path, c.yaml, err, c.want)
		}
	}
}

// The flags of Envoy that name the node count where the bootstrap is silent.
func TestServiceFlags(t *testing.T) {
	o := Options{ServiceNode: "n", ServiceCluster: "c", ServiceZone: "z"}
	b, err := Load("", "node: {id: file}", o)
	if err != nil || b.Node.GetId() != "file" || b.Node.GetCluster() != "c" || b.Node.GetLocality().GetZone() != "z" {
		t.Errorf("got %v, %v", b.Node, err)
	}
	const ads = `dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}}
static_resources: {clusters: [{name: xds}]}`
	if _, err := Load("", ads, o); err != nil {
		t.Error(err)
	}
	if _, err := Load("", ads, Options{}); err == nil || !strings.Contains(err.Error(), "node.id is empty") {
		t.Errorf("got %v", err)
	}
}

func TestDefaults(t *testing.T) {
	b, err := Load("", "{}", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Node == nil || b.Admin != nil || b.ADS != nil || b.LDS != nil || b.CDS != nil || b.Runtime != nil {
		t.Errorf("got %+v", b)
	}
	b, err = Load("testdata/good/path.yaml", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.LDS.InitialFetchTimeout != 15*time.Second || b.CDS.InitialFetchTimeout != 5*time.Second {
		t.Errorf("got %s, %s", b.LDS.summary(), b.CDS.summary())
	}
	var _ *bootstrapv3.Bootstrap = b.Proto
}

// FuzzParse: no pair of texts may panic.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/wrong/*.yaml"} {
		for _, file := range files(f, pattern) {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, []byte("node: {id: x}"))
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if got, err := parse([]text{{"a", a}, {"b", b}}, Options{Mode: support.Degrade}); err != nil {
			_ = err.Error()
		} else if got.Node == nil || got.Proto == nil {
			t.Errorf("got %+v", got)
		}
	})
}

// The four ways to write one bootstrap say the same.
func TestFormats(t *testing.T) {
	want, err := Load("testdata/good/path.yaml", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, ext := range []string{"json", "yaml", "pb", "pb_text"} {
		var b []byte
		switch ext {
		case "pb":
			b, err = proto.Marshal(want.Proto)
		case "pb_text":
			b, err = prototext.MarshalOptions{Multiline: true}.Marshal(want.Proto)
		default: // JSON is YAML
			b, err = protojson.Marshal(want.Proto)
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "b."+ext)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path, "node: {cluster: over}", Options{})
		if err != nil {
			t.Errorf("%s: %v", ext, err)
			continue
		}
		merged := proto.CloneOf(want.Proto)
		merged.Node.Cluster = "over"
		if !proto.Equal(got.Proto, merged) {
			t.Errorf("%s: got %v", ext, got.Proto)
		}
	}
}

func TestStats(t *testing.T) {
	b, err := Load("", `
stats_flush_on_admin: true
stats_server_version_override: 7
stats_config:
  use_all_default_tags: false
  stats_tags:
  - {tag_name: fleet, fixed_value: x}
  - {tag_name: shard, regex: "^listener(?=\\.).*?\\.((\\d+)\\.)"}
  stats_matcher: {exclusion_list: {patterns: [{prefix: cluster.}, {safe_regex: {regex: ".*rq_time"}}]}}
  histogram_bucket_settings: [{match: {suffix: _ms}, buckets: [1, 10]}]
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := b.Stats
	if !s.FlushOnAdmin || s.FlushInterval != 5*time.Second || s.Version != 7 || !s.NoDefaultTags {
		t.Errorf("got %+v", s)
	}
	if len(s.Fixed) != 1 || s.Fixed[0] != [2]string{"fleet", "x"} || len(s.Tags) != 1 || s.Tags[0].Regex.FindStringSubmatch("listener.a.7.b")[2] != "7" {
		t.Errorf("got %v, %v", s.Fixed, s.Tags)
	}
	for name, want := range map[string]bool{"cluster.a": false, "http.in.rq_time": false, "http.in.rq_timeout": true} {
		if s.Keep(name) != want {
			t.Errorf("%s: kept %v", name, !want)
		}
	}
	if len(s.Buckets) != 1 || !s.Buckets[0].Match.Match([]byte("a_ms")) || len(s.Buckets[0].Bounds) != 2 {
		t.Errorf("got %+v", s.Buckets)
	}
	_, err = Load("", `
admin: {address: {pipe: {path: x}}, allow_paths: [{safe_regex: {regex: "("}}]}
stats_config:
  use_all_default_tags: false
  stats_tags: [{tag_name: a}, {tag_name: b, regex: "("}, {tag_name: c, regex: "x"}, {fixed_value: d}]
  stats_matcher: {inclusion_list: {patterns: [{safe_regex: {regex: "("}}]}}
  histogram_bucket_settings: [{match: {suffix: _ms}, buckets: [10, 1]}]
`, Options{})
	for _, want := range []string{
		"admin.allow_paths[0].safe_regex.regex", "stats_tags[0].regex", "stats_tags[1].regex", "stats_tags[2].regex",
		"stats_tags[3].tag_name", "stats_matcher.inclusion_list.patterns[0].safe_regex.regex", "histogram_bucket_settings[0].buckets",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestAllowPaths(t *testing.T) {
	b, err := Load("", "admin: {address: {pipe: {path: x}}, allow_paths: [{exact: /ready}, {prefix: /stats}]}", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{"/ready": true, "/ready?x": false, "/stats?filter=a": true, "/": false} {
		if b.Admin.Allowed(target) != want {
			t.Errorf("%s: allowed %v", target, !want)
		}
	}
}
