package server

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const clusterYAML = `
"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
name: a
type: EDS
eds_cluster_config: {eds_config: {ads: {}}}
connect_timeout: 1s
---
"@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
cluster_name: a
`

const routeYAML = `
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: in
  address: {socket_address: {address: 127.0.0.1, port_value: 15001}}
  filter_chains:
  - filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: in
        rds: {route_config_name: r, config_source: {ads: {}}}
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: r
`

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		tmp := filepath.Join(dir, "."+name+".new")
		if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFolder(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  []string // parts of the error; none: it is served
	}{
		"good":    {files: map[string]string{"a.yaml": clusterYAML, "b.yaml": routeYAML, "notes.txt": "hello", ".hidden.yaml": "]["}},
		"empty":   {},
		"json":    {files: map[string]string{"a.json": `{"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "r"}`}},
		"unknown": {files: map[string]string{"a.yaml": strings.Replace(clusterYAML, "connect_timeout", "conect_timeout", 1)}, want: []string{`a.yaml:6:1`, "conect_timeout", "did you mean"}},
		"value":   {files: map[string]string{"a.yaml": strings.Replace(clusterYAML, "1s", "-1s", 1)}, want: []string{"a.yaml:6:", "connect_timeout"}},
		"without endpoints": {
			files: map[string]string{"a.yaml": strings.Split(clusterYAML, "---")[0]},
			want:  []string{`a.yaml:2:1: Cluster "a" refers to ClusterLoadAssignment "a", which is not in the set`},
		},
		"without a route": {
			files: map[string]string{"b.yaml": routeYAML[:strings.Index(routeYAML, `- "@type": type.googleapis.com/envoy.config.route`)]},
			want:  []string{`b.yaml:3:3: Listener "in" refers to RouteConfiguration "r", which is not in the set`},
		},
		"twice": {
			files: map[string]string{"a.yaml": clusterYAML, "z.yaml": strings.Split(clusterYAML, "---")[0]},
			want:  []string{`z.yaml:2:1: Cluster "a" is defined twice, first at `, "a.yaml:2:1"},
		},
		"no resource": {
			files: map[string]string{"a.yaml": `"@type": type.googleapis.com/envoy.config.core.v3.SocketAddress` + "\naddress: 1.2.3.4\nport_value: 1\n"},
			want:  []string{"a.yaml:1:1", "envoy.config.core.v3.SocketAddress is not a resource that discovery serves"},
		},
		"every mistake": {
			files: map[string]string{"a.yaml": "name: a", "b.yaml": "]["},
			want:  []string{"a.yaml:1:1", "b.yaml:1:"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tc.files)
			_, err := New(dir, Options{})
			if len(tc.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error lacks %q:\n%v", w, err)
				}
			}
		})
	}
}

func TestMissingFolder(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestVersionIsContent(t *testing.T) {
	s, err := New("", Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := &clusterv3.Cluster{Name: "a"}, &clusterv3.Cluster{Name: "b"}
	versionOf := func(cs ...*clusterv3.Cluster) string {
		t.Helper()
		var err error
		switch len(cs) {
		case 1:
			err = s.SetResources(cs[0])
		default:
			err = s.SetResources(cs[0], cs[1])
		}
		if err != nil {
			t.Fatal(err)
		}
		return s.Version(resource.ClusterType)
	}
	ab, ba, only := versionOf(a, b), versionOf(b, a), versionOf(a)
	if ab != ba || ab == only || ab == "" {
		t.Errorf("versions %q %q %q", ab, ba, only)
	}
}

// serve runs s on a loopback port and gives a connection to it.
func serve(t *testing.T, s *Server) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

// logLines is a logger that hands its error lines out.
func logLines() (*zap.Logger, <-chan string) {
	ch := make(chan string, 64)
	enc := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "m"})
	return zap.New(zapcore.NewCore(enc, lineWriter(ch), zapcore.ErrorLevel)), ch
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	select {
	case w <- string(p):
	default:
	}
	return len(p), nil
}

func (lineWriter) Sync() error { return nil }

func TestFolderEditIsServed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": clusterYAML})
	log, lines := logLines()
	s, err := New(dir, Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	st, err := discoveryv3.NewAggregatedDiscoveryServiceClient(serve(t, s)).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(version, nonce string) *discoveryv3.DiscoveryResponse {
		t.Helper()
		if err := st.Send(&discoveryv3.DiscoveryRequest{
			TypeUrl: resource.ClusterType, VersionInfo: version, ResponseNonce: nonce, Node: &corev3.Node{Id: "n"},
		}); err != nil {
			t.Fatal(err)
		}
		r, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := ask("", "")

	// A broken file is refused with its line, and what is served stays.
	write(t, dir, map[string]string{"z.yaml": "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: z\nlb_policy: ROUND\n"})
	select {
	case l := <-lines:
		if !strings.Contains(l, "z.yaml:3:") || !strings.Contains(l, "is no value") {
			t.Errorf("log line is %s", l)
		}
	case <-ctx.Done():
		t.Fatal("no log line for the broken file")
	}
	if v := s.Version(resource.ClusterType); v != first.VersionInfo {
		t.Errorf("version %s is served after a broken edit", v)
	}

	// The repaired one is.
	write(t, dir, map[string]string{"z.yaml": "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: z\n"})
	second := ask(first.VersionInfo, first.Nonce)
	if len(second.Resources) != 2 || second.VersionInfo == first.VersionInfo {
		t.Errorf("after the repair: version %s with %d clusters", second.VersionInfo, len(second.Resources))
	}

	// Removing a file is a change like any other.
	if err := os.Remove(filepath.Join(dir, "z.yaml")); err != nil {
		t.Fatal(err)
	}
	if third := ask(second.VersionInfo, second.Nonce); third.VersionInfo != first.VersionInfo {
		t.Errorf("the first content again has version %s, not %s", third.VersionInfo, first.VersionInfo)
	}
}

func TestDelta(t *testing.T) {
	answers := make(chan Answer, 16)
	s, err := New("", Options{OnAnswer: func(a Answer) { answers <- a }})
	if err != nil {
		t.Fatal(err)
	}
	a, b := &clusterv3.Cluster{Name: "a"}, &clusterv3.Cluster{Name: "b"}
	if err := s.SetResources(a, b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	st, err := discoveryv3.NewAggregatedDiscoveryServiceClient(serve(t, s)).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(nonce string) *discoveryv3.DeltaDiscoveryResponse {
		t.Helper()
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResponseNonce: nonce}
		if nonce == "" { // only the first request has a node
			r.Node = &corev3.Node{Id: "n"}
		}
		if err := st.Send(r); err != nil {
			t.Fatal(err)
		}
		resp, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first := exchange("")
	if len(first.Resources) != 2 {
		t.Fatalf("%d resources", len(first.Resources))
	}
	if err := s.SetResources(a, &clusterv3.Cluster{Name: "c"}); err != nil {
		t.Fatal(err)
	}
	second := exchange(first.Nonce)
	if len(second.Resources) != 1 || second.Resources[0].Name != "c" || len(second.RemovedResources) != 1 {
		t.Errorf("the difference is %v", second)
	}
	select {
	case x := <-answers:
		if !x.Delta || x.Node != "n" || x.Version != first.SystemVersionInfo || x.Err != "" {
			t.Errorf("answer is %+v", x)
		}
	case <-ctx.Done():
		t.Fatal("no answer seen")
	}
}

func TestListenFails(t *testing.T) {
	s, err := New("", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ListenAndServe(t.Context(), "127.0.0.1:99999"); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("error is %v", err)
	}
}
