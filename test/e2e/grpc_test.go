package e2e

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// intercepting HTTP/2: in the clear it goes on in the clear, and what is secured is
// opened and secured again. Both go where the client meant to go.
const grpcPassthrough = `
static_resources:
  listeners:
  -` + intercepted + `
    filter_chains:
    - name: clear
      filter_chain_match: {application_protocols: [h2c]}
      filters:
      - name: hcm
        typed_config:
          $hcm
          stat_prefix: clear
          http_filters: [$router]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: clear, timeout: 0s}}]}]}
    - name: secured
      filter_chain_match: {transport_protocol: tls}
      transport_socket:
        name: tls
        typed_config:
          $downstream_tls
          common_tls_context:
            alpn_protocols: [h2]
            tls_certificates: [{certificate_chain: {filename: $dir/grpc.test.crt}, private_key: {filename: $dir/grpc.test.key}}]
      filters:
      - name: hcm
        typed_config:
          $hcm
          stat_prefix: secured
          http_filters: [$router]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: secured, timeout: 0s}}]}]}
  clusters:
  - name: clear
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    connect_timeout: 2s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}
  - name: secured
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
    connect_timeout: 2s
    transport_socket:
      name: tls
      typed_config: {$upstream_tls, sni: grpc.test, common_tls_context: {alpn_protocols: [h2], validation_context: {trusted_ca: {filename: $dir/grpc.test.crt}}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}
`

// TestInterceptedGRPC has gRPC's interop client talk to its server through an
// intercepting Weir that neither knows of.
func TestInterceptedGRPC(t *testing.T) {
	t.Parallel()
	client := rig.Tool(t, "google.golang.org/grpc/interop/client")
	server := rig.Tool(t, "google.golang.org/grpc/interop/server")
	w := newWorld(t)
	w.certificate("grpc.test")
	crt, key := filepath.Join(w.dir, "grpc.test.crt"), filepath.Join(w.dir, "grpc.test.key")
	w.serveProgram(w.at4("50051"), server, "--port", "50051")
	w.serveProgram(w.at4("50443"), server, "--port", "50443", "--use_tls", "--tls_cert_file", crt, "--tls_key_file", key)
	w.start(grpcPassthrough, takeAll...)
	cases := []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
		"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
		"special_status_message", "unimplemented_method", "unimplemented_service", "custom_metadata",
	}
	for _, x := range []struct {
		name, prefix, port string
		host               string
		args               []string
	}{
		{"h2c", "clear", "50051", w.top.ServerAddr4().String(), nil},
		{"h2c over IPv6", "clear", "50051", w.top.ServerAddr6().String(), nil},
		{"TLS", "secured", "50443", w.top.ServerAddr4().String(), []string{"--use_tls", "--use_test_ca", "--ca_file", crt, "--server_host_override", "grpc.test"}},
	} {
		before := w.stat("http." + x.prefix + ".downstream_rq_total")
		for _, c := range cases {
			t.Run(x.name+" "+c, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
				defer cancel()
				args := append([]string{"--test_case", c, "--server_host", x.host, "--server_port", x.port}, x.args...)
				if out, err := w.top.Client.Command(ctx, client, args...).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		// Each of them asked something, and Weir saw it as a request.
		if n := w.stat("http."+x.prefix+".downstream_rq_total") - before; n < len(cases) {
			t.Errorf("%s: %d requests of %d cases", x.name, n, len(cases))
		}
	}
}

// serveProgram runs a server in the server's namespace until the test ends, and
// waits until it listens at addr.
func (w *world) serveProgram(addr, name string, args ...string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := w.top.Server.Command(ctx, name, args...)
	if err := cmd.Start(); err != nil {
		cancel()
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	w.until(name+" listens", func() error {
		return w.top.Server.Do(func() error {
			c, err := net.DialTimeout("tcp", addr, patience)
			if err == nil {
				c.Close()
			}
			return err
		})
	})
}
