package tls_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/test/rig"
)

// secrets writes certificates and authorities as the secrets of a bootstrap.
func secrets(server *secrettest.Pair, ca *secrettest.Pair) string {
	return fmt.Sprintf(`secrets:
- {name: server, tls_certificate: {certificate_chain: {inline_string: %q}, private_key: {inline_string: %q}}}
- {name: clients, validation_context: {trusted_ca: {inline_string: %q}}}
`, server.Cert(), server.PrivateKey(), ca.Cert())
}

// TestThroughTheWholeProxy: a client's certificate is verified and told to an origin that is reached by TLS under the name of the
// request; then the secrets change under a connection that goes on.
func TestThroughTheWholeProxy(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	server := ca.Issue(t, "server", secrettest.DNS("a.example"), secrettest.URI("spiffe://td/server"))
	client := ca.Issue(t, "client", secrettest.URI("spiffe://td/client"))
	cert := rig.Certificate(t, "origin.example")
	origin := rig.OriginTLS(t, cert, false, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "sni=%s xfcc=%s", r.TLS.ServerName, r.Header.Get("X-Forwarded-Client-Cert"))
	})
	host, port, _ := strings.Cut(origin, ":")
	rest := fmt.Sprintf(`listeners:
- name: in
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
  filter_chains:
  - transport_socket:
      name: tls
      typed_config:
        $downstream_tls
        require_client_certificate: true
        common_tls_context:
          tls_certificate_sds_secret_configs: [{name: server}]
          combined_validation_context:
            default_validation_context: {match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: "spiffe://td/"}}]}
            validation_context_sds_secret_config: {name: clients}
    filters:
    - name: hcm
      typed_config:
        $hcm
        stat_prefix: x
        forward_client_cert_details: SANITIZE_SET
        set_current_client_cert_details: {uri: true, subject: true}
        http_filters: [$router]
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: a, host_rewrite_literal: origin.example}}]}]}
clusters:
- name: a
  load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}
  transport_socket: {name: tls, typed_config: {$upstream_tls, common_tls_context: {validation_context: {trusted_ca: {filename: %q}}}}}
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
      explicit_http_config: {http_protocol_options: {}}
      upstream_http_protocol_options: {auto_sni: true, auto_san_validation: true}
`, host, port, cert.CertFile)
	r := rig.New(t, rig.Options{Config: rig.Expand(secrets(server, ca) + rest)})

	dial := func() (*tls.Conn, error) {
		return tls.Dial("tcp", r.Addr, &tls.Config{
			InsecureSkipVerify: true, ServerName: "a.example",
			Certificates: []tls.Certificate{{Certificate: [][]byte{client.Leaf.Raw}, PrivateKey: client.Key}},
		})
	}
	ask := func(c *tls.Conn) string {
		t.Helper()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nhost: a.example\r\nx-forwarded-client-cert: Hash=evil\r\n\r\n"); err != nil {
			return err.Error()
		}
		var got strings.Builder
		b := make([]byte, 4096)
		for !strings.Contains(got.String(), "xfcc=") {
			n, err := c.Read(b)
			if err != nil {
				return err.Error()
			}
			got.Write(b[:n])
		}
		return got.String()
	}
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := ask(c)
	for _, want := range []string{"sni=origin.example ", "By=spiffe://td/server;Hash=", `;Subject="CN=client,O=Weir";URI=spiffe://td/client`} {
		if !strings.Contains(got, want) || strings.Contains(got, "evil") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n := r.Stat("cluster.a.ssl.handshake"); n != 1 {
		t.Errorf("%d handshakes with the origin", n)
	}

	other := secrettest.CA(t, "other")
	r.Apply(rig.Expand(secrets(other.Issue(t, "next", secrettest.DNS("a.example")), other) + rest))
	if got := ask(c); !strings.Contains(got, "sni=origin.example ") {
		t.Errorf("the connection of before: %q", got)
	}
	d, err := dial()
	if err == nil {
		defer d.Close()
		if cn := d.ConnectionState().PeerCertificates[0].Subject.CommonName; cn != "next" {
			t.Errorf("shown %q", cn)
		}
		if got := ask(d); strings.Contains(got, "sni=") {
			t.Errorf("a client that is not trusted any more: %q", got)
		}
	}
}
