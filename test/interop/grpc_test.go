package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// grpcCases are the cases of gRPC's interop client that need no service of
// Google's and no balancer in the client.
var grpcCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
	"special_status_message", "unimplemented_method", "unimplemented_service", "custom_metadata",
	"rpc_soak", "channel_soak",
}

// grpcServer runs gRPC's interop server, and gives its address.
func grpcServer(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, rig.Tool(t, "google.golang.org/grpc/interop/server"), append([]string{"--port", "0"}, args...)...)
	cmd.Env = append(os.Environ(), "GRPC_GO_LOG_SEVERITY_LEVEL=info") // it tells its port
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "interop server listening on "); ok {
			_, port, err := net.SplitHostPort(at)
			if err != nil {
				t.Fatal(err)
			}
			drained := make(chan struct{})
			go func() { defer close(drained); _, _ = io.Copy(io.Discard, said) }()
			t.Cleanup(func() { cancel(); <-drained })
			return net.JoinHostPort("127.0.0.1", port)
		}
	}
	t.Fatal("the interop server does not listen")
	return ""
}

// TestGRPC runs every case of the interop client through Weir, clear and secured on
// either side.
func TestGRPC(t *testing.T) {
	client := rig.Tool(t, "google.golang.org/grpc/interop/client")
	cert := rig.Certificate(t, "grpc.example", "127.0.0.1")
	for _, x := range []struct {
		name                 string
		downstream, upstream bool // secured
	}{{"h2c", false, false}, {"TLS to h2c", true, false}, {"h2c to TLS", false, true}, {"TLS", true, true}} {
		t.Run(x.name, func(t *testing.T) {
			var server, flags []string
			front, back := "", ""
			if x.upstream {
				server = []string{"--use_tls", "--tls_cert_file", cert.CertFile, "--tls_key_file", cert.KeyFile}
				back = "\n  transport_socket: " + cert.Upstream("grpc.example", "alpn_protocols: [h2]")
			}
			if x.downstream {
				flags = []string{"--use_tls", "--use_test_ca", "--ca_file", cert.CertFile, "--server_host_override", "grpc.example"}
				front = "\n    transport_socket: " + cert.Downstream("alpn_protocols: [h2]")
			}
			r := rig.New(t, rig.Options{Config: grpcConfig(grpcServer(t, server...), front, back)})
			host, port, err := net.SplitHostPort(r.Addr)
			if err != nil {
				t.Fatal(err)
			}
			flags = append(flags, "--server_host", host, "--server_port", port,
				"--soak_iterations", "20", "--soak_num_threads", "4", "--soak_overall_timeout_seconds", "20")
			for _, c := range grpcCases {
				t.Run(c, func(t *testing.T) {
					if out, err := rig.Run(t, 30*time.Second, client, append([]string{"--test_case", c}, flags...)...); err != nil {
						t.Errorf("%v\n%s", err, out)
					}
				})
			}
			for _, gauge := range []string{"http.test.downstream_rq_active", "http.test.downstream_cx_active", "cluster.a.upstream_rq_active"} {
				r.Await(gauge, 0)
			}
		})
	}
}

// grpcConfig forwards everything to the server; front and back are transport
// sockets.
func grpcConfig(server, front, back string) string {
	return fmt.Sprintf(`
listeners:
- name: in
  address: {$loopback}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        $hcm
        stat_prefix: test
        http_filters: [$router]
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a, timeout: 0s}}]}]}%s
clusters:
- name: a
  connect_timeout: 1s
  load_assignment: %s
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}%s
`, front, rig.Endpoint("a", server), back)
}
