package e2e

import (
	"strings"
	"testing"
)

func TestTLSTermination(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, pool := w.certificate("www.shop.test")
	w.serveHTTP(w.at4("8081"), named("v1"))
	w.start(strings.Replace(plain, "    - filters:\n", `    - transport_socket:
        name: tls
        typed_config:
          $downstream_tls
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_certificates: [{certificate_chain: {filename: $dir/www.shop.test.crt}, private_key: {filename: $dir/www.shop.test.key}}]
      filters:
`, 1))
	c := w.client(pool)
	clientTransport(c).TLSClientConfig.ServerName = "www.shop.test"
	for range 2 { // the second over the same connection
		if r := w.mustGet(c, "https://"+w.gateway()+"/"); r.code != 200 || r.origin != "v1" {
			t.Errorf("%d from %q", r.code, r.origin)
		}
	}
	s := w.stats()
	if s["http.plain.downstream_cx_ssl_total"] != 1 || s["http.plain.downstream_rq_total"] != 2 {
		t.Errorf("%d TLS connections, %d requests", s["http.plain.downstream_cx_ssl_total"], s["http.plain.downstream_rq_total"])
	}
}
