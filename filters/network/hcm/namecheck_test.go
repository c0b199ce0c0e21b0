package hcm_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// judging serves connections whose destination a PROXY header says, with a name_check.
const judging = `
listeners:
- name: in
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
  metadata: {filter_metadata: {weir.sniffing: {name_check: {policy: POLICY}}}}
  listener_filters:
  - name: p
    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: test
        http_filters:
        - name: router
          typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a, host_rewrite_literal: x.test}}]}]}
`

// Each request of a connection is judged by its own host.
func TestHostsAreJudged(t *testing.T) {
	var asked atomic.Int64
	o := rig.Origin(t, func(_ http.ResponseWriter, _ *http.Request) { asked.Add(1) })
	f := func(policy string, codes ...int) {
		t.Run(policy, func(t *testing.T) {
			asked.Store(0)
			r := rig.New(t, rig.Options{Config: strings.Replace(judging, "POLICY", policy, 1), Origins: map[string]string{"a": o}})
			c, err := net.Dial("tcp", r.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprintf(c, "PROXY TCP4 127.0.0.1 192.0.2.1 1234 80\r\n")
			b := bufio.NewReader(c)
			served := int64(0)
			for i, host := range []string{"192.0.2.1", "192.0.2.9:80", "[2001:db8::1]", "192.0.2.1:80"} {
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
				a, err := http.ReadResponse(b, nil)
				if err != nil {
					t.Fatalf("%s: %v", host, err)
				}
				_, _ = io.Copy(io.Discard, a.Body)
				if a.StatusCode != codes[i] {
					t.Errorf("%s: %d, want %d", host, a.StatusCode, codes[i])
				}
				if a.StatusCode == 200 {
					served++
				}
			}
			if asked.Load() != served {
				t.Errorf("the origin was asked %d times, for %d answers", asked.Load(), served)
			}
			want := int64(2)
			if policy == "allow" {
				want = 0
			}
			r.Await("http.test.downstream_rq_name_mismatch", want)
		})
	}
	f("allow", 200, 200, 200, 200)
	f("flag", 200, 200, 200, 200)
	f("deny", 200, 403, 403, 200)
}
