package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/protos"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rewrite = flag.Bool("rewrite", false, "write what the scripts give into testdata")

// resources reads a YAML file of resources, in its order.
func resources(t testing.TB, text string) []*anypb.Any {
	t.Helper()
	if len(protos.Types()) == 0 { // links them
		t.Fatal("no types")
	}
	rs, err := yamlproto.UnmarshalResources([]byte(text), yamlproto.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out []*anypb.Any
	for _, r := range rs {
		out = append(out, r.Any)
	}
	return out
}

// decodeAll decodes resources as the case's name asks: "static …", "strict …", or degrading as from a control plane.
func decodeAll(name string, anys []*anypb.Any) (*config.Snapshot, string) {
	d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	if strings.HasPrefix(name, "strict") {
		d.Mode = support.Strict
	}
	s := &config.Snapshot{
		Listeners: map[string]*config.Resource{}, Routes: map[string]*config.Resource{},
		Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{},
	}
	var out strings.Builder
	for _, a := range anys {
		r, err := d.Decode(a.GetTypeUrl(), a, strings.HasPrefix(name, "static"))
		if err != nil {
			fmt.Fprintln(&out, err)
			continue
		}
		t, _ := config.TypeOf(a.GetTypeUrl())
		fmt.Fprintf(&out, "%s %q\n", t.Kind, r.Name)
		for _, ref := range r.Refs {
			w, _ := config.TypeOf(ref.TypeURL)
			fmt.Fprintf(&out, "  needs %s %q\n", w.Kind, ref.Name)
		}
		for _, f := range r.Degraded {
			fmt.Fprintf(&out, "  without effect: %s\n", f)
		}
		switch t.Short {
		case "lds":
			s.Listeners[r.Name] = r
		case "rds":
			s.Routes[r.Name] = r
		case "cds":
			s.Clusters[r.Name] = r
		case "eds":
			s.Endpoints[r.Name] = r
		}
	}
	for _, l := range s.Lint() {
		fmt.Fprintf(&out, "lint: %s\n", l)
	}
	return s, out.String()
}

// TestDecode runs testdata/decode: resources in YAML, and for each what the decoder says, then the lints of the snapshot.
func TestDecode(t *testing.T) {
	configtest.Scripts(t, "testdata/decode/*.txt", *rewrite, func(t *testing.T, name, input string) string {
		_, out := decodeAll(name, resources(t, input))
		return out
	})
}

// TestEnvoyGatewayShapes decodes what Envoy Gateway sends for a plain gateway (FEATURES.md section 4.1).
func TestEnvoyGatewayShapes(t *testing.T) {
	text, err := os.ReadFile("testdata/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, out := decodeAll("dynamic", resources(t, string(text)))
	want := `cluster "httproute/default/backend/rule/0"
  needs endpoints "httproute/default/backend/rule/0"
cluster "httproute/default/external/rule/0"
endpoints "httproute/default/backend/rule/0"
listener "default/eg/http"
  needs route "default/eg/http"
listener "default/eg/tls"
route "default/eg/http"
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	c := s.Cluster("httproute/default/backend/rule/0")
	if c == nil || c.Default.MaxRetries != 1024 || !c.LocalityWeighted || c.LB.Policy.Factory.Name != "envoy.load_balancing_policies.least_request" {
		t.Errorf("cluster %+v", c)
	}
	if l := s.Listener("default/eg/http"); l == nil || l.Default == nil || len(l.Chains) != 0 || l.BufferLimit != 32768 {
		t.Errorf("listener %+v", l)
	}
	if a := s.Assignment("httproute/default/backend/rule/0"); a == nil || len(a.Localities) != 1 || len(a.Localities[0].Endpoints) != 2 {
		t.Errorf("assignment %+v", a)
	}
	if s.Route("default/eg/http") == nil || s.Route("none") != nil {
		t.Error("route tables")
	}
}

// TestSidecarShapes decodes a transparent sidecar's static resources.
func TestSidecarShapes(t *testing.T) {
	text, err := os.ReadFile("testdata/sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, out := decodeAll("static", resources(t, string(text)))
	want := `cluster "original-destination"
cluster "outbound|80||web"
listener "virtualOutbound"
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff("outbound|80||web", s.Cluster("outbound|80||web").StatName); diff != "" {
		t.Error(diff)
	}
	got := configtest.Dump(s.Listener("virtualOutbound"))
	for _, line := range []string{
		"Addresses[0]: 0.0.0.0:15001", "Addresses[1]: [::]:15001", "UseOriginalDst: true", "Transparent: true", "ContinueOnTimeout: true", "Direction: 2",
		"Chains[0].Match.Prefixes[0]: 10.1.0.0/16", "Chains[1].Match.SourceType: EXTERNAL", "Default.Name: passthrough",
		"StatPrefix: 0.0.0.0_15001", "FiltersTimeout: 5s", "BufferLimit: 1048576",
	} {
		if !strings.Contains(got+"\n", line+"\n") {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
}

func TestTypesComeInMakeBeforeBreakOrder(t *testing.T) {
	got := ""
	for _, r := range config.Types() {
		got += fmt.Sprintf("%s %v\n", r.Short, r.FullState)
	}
	if diff := cmp.Diff("rtds false\nsds false\ncds true\neds false\nlds true\nrds false\nsrds true\nvhds true\necds false\n", got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func packed(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhatIsNoResource(t *testing.T) {
	d := &config.Decoder{Registry: configtest.Registry()}
	a := packed(t, &clusterv3.Cluster{Name: "a"})
	for _, c := range []struct {
		name, typeURL string
		a             *anypb.Any
		want          string
	}{
		{"unknown type", "type.googleapis.com/x.Y", a, `unknown resource type "type.googleapis.com/x.Y"`},
		{"another type", config.ListenerURL, a, `listener: resource of type "type.googleapis.com/envoy.config.cluster.v3.Cluster" where`},
		{"nothing", config.ListenerURL, nil, `listener: resource of type "" where`},
		{"garbage", config.ClusterURL, &anypb.Any{TypeUrl: config.ClusterURL, Value: []byte{1, 2, 3}}, "malformed Cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := d.Decode(c.typeURL, c.a, false)
			if r != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, %v, want %s", r, err, c.want)
			}
		})
	}
}

func TestErrorsKeepTheirPaths(t *testing.T) {
	d := &config.Decoder{Registry: configtest.Registry()}
	_, err := d.Decode(config.ClusterURL, packed(t, &clusterv3.Cluster{Name: "a", LbPolicy: 99, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: 3}}), true)
	var e *config.Error
	if !errors.As(err, &e) || e.Kind != "cluster" || e.Name != "a" {
		t.Fatalf("%v", err)
	}
	var paths []string
	for _, f := range e.Errs {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{"lb_policy", "eds_cluster_config"}, paths); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var f *fielderr.Error
	if !errors.As(err, &f) {
		t.Error("no field error inside")
	}
}

func TestClustersMaySpeakHTTP2(t *testing.T) {
	for name, text := range map[string]string{
		"typed": `{"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: c, typed_extension_protocol_options: {
			envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
			explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 7, connection_keepalive: {interval: 30s, timeout: 5s}}}}}}`,
		"deprecated": `{"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: c,
			http2_protocol_options: {max_concurrent_streams: 7, connection_keepalive: {interval: 30s, timeout: 5s}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := resources(t, text)[0]
			r, err := (&config.Decoder{Registry: configtest.Registry()}).Decode(a.TypeUrl, a, false)
			if err != nil {
				t.Fatal(err)
			}
			h := r.Value.(*cluster.Cluster).HTTP
			want := core.DefaultHTTP2()
			want.MaxConcurrentStreams = 7
			want.Keepalive = core.Keepalive{Interval: 30 * time.Second, Timeout: 5 * time.Second, Jitter: 15}
			if h.Protocol != cluster.HTTP2 || h.H2 != want {
				t.Errorf("%+v", h)
			}
		})
	}
}

func TestAPanicIsAnError(t *testing.T) {
	r := extension.NewRegistry([]*extension.Factory{{
		Kind: extension.LBPolicy, Name: "envoy.load_balancing_policies.round_robin",
		TypeURL: "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
		Parse:   func(*anypb.Any, *extension.Context) (any, error) { panic("index out of range") },
	}})
	d := &config.Decoder{Registry: r}
	res, err := d.Decode(config.ClusterURL, packed(t, &clusterv3.Cluster{Name: "a"}), false)
	var p *config.PanicError
	if res != nil || !errors.As(err, &p) || err.Error() != "cluster: decoder panicked: index out of range" || len(p.Stack) == 0 {
		t.Errorf("%v, %v", res, err)
	}
}

func TestUnchanged(t *testing.T) {
	a := packed(t, &clusterv3.Cluster{Name: "a"})
	d := &config.Decoder{Registry: configtest.Registry()}
	r, err := d.Decode(config.ClusterURL, a, false)
	if err != nil {
		t.Fatal(err)
	}
	same := &anypb.Any{TypeUrl: a.TypeUrl, Value: append([]byte(nil), a.Value...)}
	if !config.Unchanged(r, same) {
		t.Error("the same bytes are a change")
	}
	for name, b := range map[string]*anypb.Any{
		"other bytes": packed(t, &clusterv3.Cluster{Name: "b"}),
		"other type":  {TypeUrl: config.ListenerURL, Value: a.Value},
		"nothing":     nil,
	} {
		if config.Unchanged(r, b) {
			t.Errorf("%s: no change", name)
		}
	}
	if config.Unchanged(nil, a) || config.Unchanged(&config.Resource{}, a) {
		t.Error("unchanged without a predecessor")
	}
	if n := testing.AllocsPerRun(100, func() { config.Unchanged(r, same) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSnapshotGivesNothingForTheWrongKind(t *testing.T) {
	s := &config.Snapshot{Listeners: map[string]*config.Resource{"a": {Name: "a", Value: &cluster.Cluster{}}, "b": {Value: &listener.Listener{}}}}
	if s.Listener("a") != nil || s.Listener("b") == nil || s.Cluster("a") != nil {
		t.Error("wrong value")
	}
}
