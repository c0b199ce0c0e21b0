package storm

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
	"github.com/weirproxy/weir/xds"
)

// client is one connection of HTTP/1.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (w *world) dial(port int, name string, pool *x509.CertPool) *client {
	w.t.Helper()
	c, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", port), &tls.Config{RootCAs: pool, ServerName: name, NextProtos: []string{"http/1.1"}})
	w.must(err)
	w.t.Cleanup(func() { _ = c.Close() })
	return &client{c, bufio.NewReader(c)}
}

// ask sends a request and tells whether the connection ends with the response.
func (c *client) ask(host string) (last bool, err error) {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return false, err
	}
	if _, err := io.WriteString(c, "GET /a HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(resp.Status))
	}
	return resp.Close, errors.Join(err, resp.Body.Close())
}

// TestUnchangedChainsAreNotTouched: an update of one filter chain drains its connections gradually, each with a response that says so,
// and leaves those of the other chain alone for as long as they like.
func TestUnchangedChainsAreNotTouched(t *testing.T) {
	const drain = time.Second
	w := newWorld(t, false, drain)
	s := &script{plain: freePort(t), tls: freePort(t)}
	for i := range s.origins {
		_, s.origins[i] = named(t, fmt.Sprint("o", i))
	}
	cert := rig.Certificate(t, "a.example", "b.example")
	for i := range s.certs {
		s.certs[i] = fmt.Sprintf("{certificate_chain: %s, private_key: %s}", inline(t, cert.CertFile), inline(t, cert.KeyFile))
	}
	w.push(s.at(0))
	const n = 8
	var kept, changed [n]*client
	for i := range n {
		kept[i], changed[i] = w.dial(s.tls, "a.example", cert.Pool), w.dial(s.tls, "b.example", cert.Pool)
		for c, host := range map[*client]string{kept[i]: "a.example", changed[i]: "b.example"} {
			if last, err := c.ask(host); last || err != nil {
				t.Fatal(last, err)
			}
		}
	}
	total := w.stat("http.a.downstream_cx_total")
	begin := time.Now()
	w.push(s.at(5)) // another chain b
	var ends []time.Duration
	left := map[int]bool{}
	for i := range n {
		left[i] = true
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ; len(left) > 0 && time.Since(begin) < 5*drain; <-tick.C {
		for i := range left {
			last, err := changed[i].ask("b.example")
			if err != nil {
				t.Fatalf("a request is lost %v after the update: %v", time.Since(begin), err)
			}
			if last {
				ends = append(ends, time.Since(begin))
				delete(left, i)
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("%d of %d connections of the changed chain go on", len(left), n)
	}
	if first, last := ends[0], ends[len(ends)-1]; last-first < drain/4 || last > drain+drain/2 {
		t.Errorf("connections ended between %v and %v: not gradually in %v", first, last, drain)
	}
	for i := range n {
		if last, err := kept[i].ask("a.example"); last || err != nil {
			t.Errorf("connection %d of the chain that did not change: last %v, %v", i, last, err)
		}
	}
	if now := w.stat("http.a.downstream_cx_total"); now != total {
		t.Errorf("statistics of the chain that did not change: %d connections, before %d", now, total)
	}
	// Connections that ask nothing are closed at the end of the drain time, and no sooner.
	idle := w.dial(s.tls, "b.example", cert.Pool)
	if _, err := idle.ask("b.example"); err != nil {
		t.Fatal(err)
	}
	begin = time.Now()
	w.push(s.at(10))
	w.must(idle.SetReadDeadline(time.Now().Add(5 * drain)))
	if _, err := idle.r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection ended by %v", err)
	}
	if d := time.Since(begin); d < drain*8/10 || d > 2*drain {
		t.Errorf("the idle connection ended after %v, the drain time is %v", d, drain)
	}
}

// TestPolicyReachesTraffic: changes of an existing cluster are in force within a second, without new endpoints (Envoy keeps the old
// cluster until EDS answers again, for 15 s).
func TestPolicyReachesTraffic(t *testing.T) {
	for name, delta := range map[string]bool{"state of the world": false, "delta": true} {
		t.Run(name, func(t *testing.T) { policy(t, delta) })
	}
}

func policy(t *testing.T, delta bool) {
	w := newWorld(t, delta, time.Second)
	addr := rig.Origin(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	_, port, err := net.SplitHostPort(addr)
	w.must(err)
	listen := freePort(t)
	text := func(cluster string) string {
		return fmt.Sprintf(`resources:
- $Listener
  name: in
  address: {socket_address: {address: 127.0.0.1, port_value: %d}}
  filter_chains: [{filters: [{name: hcm, typed_config: {$hcm, stat_prefix: in, rds: {route_config_name: r, config_source: {ads: {}, resource_api_version: V3}}, http_filters: [$router]}}]}]
- {$Routes, name: r, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}]}
- {$Cluster, name: c, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}, %s}
- {$Endpoints, cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}
`, listen, cluster, port)
	}
	url := fmt.Sprint("http://127.0.0.1:", listen)
	get := func(path string) int {
		c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := c.Get(url + path)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	w.push(text("lb_policy: ROUND_ROBIN"))
	if got := get("/"); got != 200 {
		t.Fatalf("%d before", got)
	}
	eds := func() uint64 { return w.xds.Stats().Type(xds.EndpointType).Attempt.Load() }
	for _, c := range []struct {
		name, cluster string
		felt          func() bool
	}{
		{"load balancing", "lb_policy: RING_HASH", func() bool {
			return w.proxy.Clusters().Clusters()[0].Config().LB.Policy.Factory.Name == "envoy.load_balancing_policies.ring_hash"
		}},
		{"circuit breakers", "circuit_breakers: {thresholds: [{max_requests: 0}]}", func() bool { return get("/") == 503 }},
		{"no circuit breakers", "lb_policy: RANDOM", func() bool { return get("/") == 200 }},
		{"outlier detection", "outlier_detection: {consecutive_5xx: 1, always_eject_one_host: true, base_ejection_time: 1s}, common_lb_config: {healthy_panic_threshold: {}}", func() bool { return get("/fail") == 503 && get("/") == 503 }},
		{"no outlier detection", "lb_policy: ROUND_ROBIN", func() bool { return get("/") == 200 }},
	} {
		before, begin := eds(), time.Now()
		w.push(text(c.cluster))
		w.until(c.name+" is felt", c.felt)
		if d := time.Since(begin); d > time.Second {
			t.Errorf("%s took %v to reach traffic", c.name, d)
		}
		if now := eds(); now != before {
			t.Errorf("%s: endpoints were answered for again: it was not what is tested", c.name)
		}
	}
}
