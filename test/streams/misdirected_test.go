package streams

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// TestMisdirected: a client that reuses a connection for another name of the
// certificate hears that it has to open another, and only then.
func TestMisdirected(t *testing.T) {
	cert := rig.Certificate(t, "a.example", "b.example", "c.example")
	chain := func(name string) string {
		return fmt.Sprintf(`
  - filter_chain_match: {server_names: [%[1]s.example]}
    transport_socket: %[2]s
    filters: [{name: hcm, typed_config: {$hcm, stat_prefix: %[1]s, http_filters: [$router], route_config: {virtual_hosts: [{name: v, domains: [%[1]s.example, "also.example"], routes: [{match: {path: /}, direct_response: {status: 200, body: {inline_string: %[1]s}}}]}]}}}]`,
			name, cert.Downstream("alpn_protocols: [h2, http/1.1]"))
	}
	r := rig.New(t, rig.Options{Config: "listeners:\n- name: in\n  address: {$loopback}\n  listener_filters: [$tls_inspector]\n  filter_chains:" + chain("a") + chain("b")})
	for _, http2 := range []bool{false, true} {
		tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{ServerName: "a.example", RootCAs: cert.Pool}}
		tr.Protocols.SetHTTP1(!http2)
		tr.Protocols.SetHTTP2(http2)
		c := &http.Client{Transport: tr}
		for _, ask := range []struct{ host, path, want string }{
			{"a.example", "/", "200 a"},
			{"also.example", "/", "200 a"},
			{"b.example", "/", "421 misdirected request"},
			{"B.example:443", "/", "421 misdirected request"},
			{"a.example", "/nothing", "404 "},
			{"c.example", "/", "404 "}, // nobody's
			{"127.0.0.1", "/", "404 "},
		} {
			req, err := http.NewRequest("GET", "https://"+r.Addr+ask.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = ask.host
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := fmt.Sprintf("%d %s", resp.StatusCode, b); got != ask.want {
				t.Errorf("HTTP/2 %v: %s%s: %s", http2, ask.host, ask.path, got)
			}
		}
		tr.CloseIdleConnections()
	}
	r.Await("http.a.downstream_cx_active", 0)
	r.Await("http.a.downstream_cx_total", 2)
}
