package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weirproxy/weir/xds/server"
)

// pushed is a cluster that a control plane sends.
func pushed(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second), ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
	}
}

// plane runs a go-control-plane server that sends a cluster, on the address or on a new one; c may be nil.
func plane(t *testing.T, addr, name string, c *tls.Config) (at string, stop func()) {
	t.Helper()
	o := server.Options{}
	if c != nil {
		o.Credentials = credentials.NewTLS(c)
	}
	s, err := server.New("", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetResources(pushed(name)); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ctx, ln) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

// dead is an address where nobody listens.
func dead(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// A process is Weir with a bootstrap.
type process struct {
	t    *testing.T
	logs buffer
	http http.Client
}

// weir starts Weir with the rest of a bootstrap.
func weir(t *testing.T, bootstrap string) *process {
	t.Helper()
	if err := buildWeir(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sock, file := filepath.Join(dir, "a"), filepath.Join(dir, "b.yaml")
	text := "node: {id: gw-1, cluster: edge}\nadmin: {address: {pipe: {path: " + sock + "}}}\n" + bootstrap
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, http: http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", sock)
		},
	}}}
	c := exec.Command(filepath.Join(built.dir, "weir"), "-c", file, "-l", "debug", "--drain-time-s", "0")
	c.Stdout, c.Stderr = &p.logs, &p.logs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("weir:\n%s", p.logs.String())
		}
	})
	return p
}

// get reads a page of the admin interface, or of a whole URL; "" when nobody answers.
func (p *process) get(path string) string {
	get := http.Get
	if strings.HasPrefix(path, "/") {
		get, path = p.http.Get, "http://weir"+path
	}
	resp, err := get(path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// wait waits until a page, or the log with "", contains all texts.
func (p *process) wait(path string, texts ...string) {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(15 * time.Second)
	for {
		page := p.logs.String()
		if path != "" {
			page = p.get(path)
		}
		missing := ""
		for _, text := range texts {
			if !strings.Contains(page, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%q is not in %s:\n%s", missing, path, page)
		}
		<-tick.C
	}
}

const ads = `
dynamic_resources:
  ads_config:
    api_type: GRPC
    transport_api_version: V3
    grpc_services: %s
  cds_config: {ads: {}, resource_api_version: V3}
static_resources:
  clusters: [%s]
`

// xdsCluster is a static cluster of a control plane; more is what else it has.
func xdsCluster(name, more string, addrs ...string) string {
	var places []string
	for i, a := range addrs {
		host, port, _ := net.SplitHostPort(a)
		places = append(places, fmt.Sprintf(
			"{priority: %d, lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}", i, host, port))
	}
	return fmt.Sprintf("{name: %s, connect_timeout: 1s, %s typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: "+
		`{"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}, `+
		"load_assignment: {cluster_name: %s, endpoints: [%s]}}", name, more, name, strings.Join(places, ", "))
}

// tlsTo is the transport socket of a cluster.
func (p *pki) tlsTo(name string, certificate bool) string {
	own := ""
	if certificate {
		own = fmt.Sprintf("tls_certificates: [{certificate_chain: {filename: %s}, private_key: {filename: %s}}], ", p.file("client.pem"), p.file("client.key"))
	}
	return fmt.Sprintf(`transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, `+
		"sni: xds.example, common_tls_context: {%svalidation_context: {trusted_ca: {filename: %s}, "+
		"match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: %s}}]}}}}, ", own, p.file("ca.pem"), name)
}

func TestMutualTLS(t *testing.T) {
	p := newPKI(t)
	addr, _ := plane(t, "127.0.0.1:0", "pushed", p.server(t, tls.RequireAndVerifyClientCert))
	service := "[{envoy_grpc: {cluster_name: xds}}]"
	t.Run("good", func(t *testing.T) {
		t.Parallel()
		w := weir(t, fmt.Sprintf(ads, service, xdsCluster("xds", p.tlsTo("xds.example", true), addr)))
		w.wait("/clusters", "pushed::")
		w.wait("/stats", "control_plane.connected_state: 1", "cluster.xds.ssl.handshake: 1", "cluster.xds.upstream_cx_active: 1")
	})
	t.Run("another name", func(t *testing.T) {
		t.Parallel()
		w := weir(t, fmt.Sprintf(ads, service, xdsCluster("xds", p.tlsTo("other.example", true), addr)))
		w.wait("/stats", "cluster.xds.ssl.fail_verify_san: ")
		w.wait("", "ads: Unavailable:")
	})
	t.Run("no client certificate", func(t *testing.T) {
		t.Parallel()
		w := weir(t, fmt.Sprintf(ads, service, xdsCluster("xds", p.tlsTo("xds.example", false), addr)))
		w.wait("", "ads: Unavailable:")
	})
}

func TestServersInOrder(t *testing.T) {
	t.Parallel()
	gone := dead(t)
	second, stop := plane(t, "127.0.0.1:0", "of-second", nil)
	services := "[{envoy_grpc: {cluster_name: one, retry_policy: {retry_back_off: {base_interval: 0.01s, max_interval: 0.1s}}}}, {envoy_grpc: {cluster_name: two}}]"
	w := weir(t, fmt.Sprintf(ads, services, xdsCluster("one", "", gone)+", "+xdsCluster("two", "", second)))
	w.wait("/clusters", "of-second::")
	_, _ = plane(t, gone, "of-first", nil)
	stop()
	w.wait("/clusters", "of-first::")
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	addr, _ := plane(t, "127.0.0.1:0", "pushed", nil)
	w := weir(t, fmt.Sprintf(ads, "[{envoy_grpc: {cluster_name: xds}}]", xdsCluster("xds", "", dead(t), addr)))
	w.wait("/clusters", "pushed::")
	if strings.Contains(w.logs.String(), "next try") {
		t.Error("the second priority was not tried at once")
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	addr, _ := plane(t, "127.0.0.1:0", "pushed", nil)
	_, port, _ := net.SplitHostPort(addr)
	w := weir(t, fmt.Sprintf(ads, "[{envoy_grpc: {cluster_name: xds}}]",
		xdsCluster("xds", "type: STRICT_DNS, dns_lookup_family: V4_ONLY, ", net.JoinHostPort("localhost", port))))
	w.wait("/clusters", "pushed::")
}

func TestGoogleGRPC(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	addr, _ := plane(t, "127.0.0.1:0", "pushed", p.server(t, tls.RequireAndVerifyClientCert))
	w := weir(t, fmt.Sprintf(ads, fmt.Sprintf("[{google_grpc: {target_uri: %q, stat_prefix: x, channel_credentials: {ssl_credentials: "+
		"{root_certs: {filename: %s}, cert_chain: {filename: %s}, private_key: {filename: %s}}}}, initial_metadata: [{key: a, value: b}]}]",
		addr, p.file("ca.pem"), p.file("client.pem"), p.file("client.key")), ""))
	w.wait("/clusters", "pushed::")
}

func TestRESTOverTLS(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	any, err := anypb.New(pushed("polled"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := protojson.Marshal(&discoveryv3.DiscoveryResponse{VersionInfo: "1", Resources: []*anypb.Any{any}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", p.server(t, tls.RequireAndVerifyClientCert))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/v3/discovery:clusters" || req.Host != "rest" || req.ProtoMajor != 1 {
			t.Errorf("%s %s to %s", req.Proto, req.URL, req.Host)
		}
		_, _ = rw.Write(body)
	})}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	one := strings.Replace(xdsCluster("rest", p.tlsTo("xds.example", true), ln.Addr().String()), "http2_protocol_options", "http_protocol_options", 1)
	w := weir(t, fmt.Sprintf(`
dynamic_resources: {cds_config: {api_config_source: {api_type: REST, transport_api_version: V3, cluster_names: [rest], refresh_delay: 0.05s}}}
static_resources: {clusters: [%s]}
`, one))
	w.wait("/clusters", "polled::")
}
