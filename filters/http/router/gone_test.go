package router_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/test/rig"
)

// TestResetEndsTheExchangeAtOnce: an HTTP/2 client's reset is told to the origin
// without waiting for the next look, of which there are four in a second.
func TestResetEndsTheExchangeAtOnce(t *testing.T) {
	const times = 40
	ended := make(chan error, times)
	h1 := rig.TCPOrigin(t, func(c *net.TCPConn) {
		r := newRequestReader(c)
		if _, err := r.next(); err != nil {
			return
		}
		ended <- nil // the request is here
		_, err := r.next()
		ended <- err
	})
	h2 := rig.FrameOrigin(t, nil, func(c *rig.H2) {
		for {
			f, err := c.Next()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.MetaHeadersFrame:
				ended <- nil
			case *http2.RSTStreamFrame:
				if f.ErrCode != http2.ErrCodeCancel {
					t.Errorf("origin was told %v", f.ErrCode)
				}
				ended <- net.ErrClosed
			}
		}
	})
	r := rig.New(t, rig.Options{
		HCM: `
stat_prefix: test
http_filters: [$router]
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /h1}, route: {cluster: h1}}, {match: {prefix: /}, route: {cluster: h2}}]}]}
`,
		Origins: map[string]string{"h1": h1},
		Config: "clusters:\n- name: h2\n  load_assignment: " + rig.Endpoint("h2", h2) + `
  typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}}
`,
	})
	for _, path := range []string{"/h1", "/h2"} {
		c := r.DialH2()
		start := time.Now()
		for i := range times {
			id := uint32(2*i + 1)
			c.Request(id, true, "GET", "a.test", path)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if err := c.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err == nil {
				t.Fatal("the origin got another request")
			}
		}
		if d := time.Since(start); d > times*50*time.Millisecond {
			t.Errorf("%s: %d resets took %v", path, times, d)
		}
	}
	r.Await("http.test.downstream_rq_rx_reset", 2*times)
	r.Await("cluster.h2.upstream_rq_active", 0)
	r.Await("cluster.h1.upstream_cx_active", 0)
}
