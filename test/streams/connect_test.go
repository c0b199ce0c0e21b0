package streams

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

const (
	terminated = `
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: ""}, direct_response: {status: 418}}, {match: {connect_matcher: {}}, route: {cluster: o, timeout: 0.2s, upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}]}}]}]}
`
	forwarded = `
upgrade_configs: [{upgrade_type: CONNECT}]
route_config: {virtual_hosts: [{name: v, domains: ["a.test:443"], routes: [{match: {connect_matcher: {}}, route: {cluster: o}}]}]}
`
)

// connect sends a CONNECT to a.test:443 and gives the answer.
func connect(t *testing.T, r *rig.Rig, version int) (p pipe, answer string) {
	t.Helper()
	if version == 2 {
		h := r.DialH2()
		h.Head(1, false, ":method", "CONNECT", ":authority", "a.test:443")
		return opened(h)
	}
	c := r.Dial()
	fmt.Fprint(c, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
	return answered(t, c, "CONNECT")
}

// exchange holds a tunnel to what it is for, and ends it, the client first.
func exchange(t *testing.T, c, o pipe) {
	t.Helper()
	_ = c.send("ping")
	if s := o.recv(4); s != "ping" {
		t.Errorf("%q arrived", s)
	}
	_ = o.send("pong")
	if s := c.recv(4); s != "pong" {
		t.Errorf("%q came back", s)
	}
	c.end()
	if s := o.ended(); s != "end" {
		t.Errorf("the half-close arrived as %q", s)
	}
	o.end()
	if s := c.ended(); s != "end" {
		t.Errorf("the second half-close arrived as %q", s)
	}
}

// TestConnectTerminated: the bytes of a CONNECT go to the cluster's host as they are.
func TestConnectTerminated(t *testing.T) {
	for _, version := range []int{1, 2} {
		came, over1 := make(chan *net.TCPConn, 1), make(chan struct{})
		addr := rig.TCPOrigin(t, func(c *net.TCPConn) { came <- c; <-over1 })
		r := through(t, 1, addr, terminated)
		p, got := connect(t, r, version)
		if got != "200  " {
			t.Errorf("HTTP/%d: answered %q", version, got)
		}
		exchange(t, p, newPlain(<-came))
		over(t, r)
		r.Await("http.test.downstream_cx_upgrades_total", 1)
		r.Await("cluster.o.upstream_cx_active", 0)
		close(over1)
	}
}

// TestConnectToADeadHost: what fails is told as it is of requests.
func TestConnectToADeadHost(t *testing.T) {
	for _, version := range []int{1, 2} {
		r := through(t, 1, rig.DeadAddr(t), terminated)
		if _, got := connect(t, r, version); !strings.HasPrefix(got, "503 ") {
			t.Errorf("HTTP/%d: answered %q", version, got)
		}
		over(t, r)
	}
}

// TestConnectForwarded: without connect_config the origin is asked to connect.
func TestConnectForwarded(t *testing.T) {
	combinations(t, func(t *testing.T, client, server int) {
		addr, came := origin(t, server)
		r := through(t, server, addr, forwarded)
		asks := make(chan *asked, 1)
		go func() {
			a := <-came
			a.answer(200)
			asks <- a
		}()
		p, got := connect(t, r, client)
		a := <-asks
		if got != "200  " || strings.TrimSpace(a.line) != "CONNECT a.test:443 a.test:443" && strings.TrimSpace(a.line) != "CONNECT a.test:443" {
			t.Errorf("answered %q to %q", got, a.line)
		}
		exchange(t, p, a.pipe)
		over(t, r)
	})
}

// TestConnectRefused: a CONNECT that nothing allows, that no route takes, or that the
// origin does not want.
func TestConnectRefused(t *testing.T) {
	const routed = `route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o}}, {match: {connect_matcher: {}}, route: {cluster: o}}]}]}`
	for _, version := range []int{1, 2} {
		for hcm, want := range map[string]string{
			routed: "403",
			"upgrade_configs: [{upgrade_type: CONNECT}]\nroute_config: {virtual_hosts: [{name: v, domains: [\"*\"], routes: [{match: {prefix: \"\"}, route: {cluster: o}}]}]}": "404",
			"upgrade_configs: [{upgrade_type: CONNECT}]\n" + routed: "407",
		} {
			addr, came := origin(t, 1)
			r := through(t, 1, addr, hcm)
			go func() {
				select {
				case a := <-came:
					a.answer(407, "content-length", "0")
				case <-t.Context().Done():
				}
			}()
			if _, got := connect(t, r, version); got[:3] != want {
				t.Errorf("HTTP/%d: answered %q, want %s", version, got, want)
			}
			over(t, r)
			r.Await("http.test.downstream_cx_upgrades_total", 0)
		}
	}
}

// TestConnectUDPIsRefused: by name, where it is configured.
func TestConnectUDPIsRefused(t *testing.T) {
	err := rig.Check(rig.Options{HCM: "stat_prefix: test\nhttp_filters: [$router]\nupgrade_configs: [{upgrade_type: CONNECT-UDP}]\nroute_config: {}"})
	if err == nil || !strings.Contains(err.Error(), "upgrade_configs[0].upgrade_type: CONNECT-UDP is not supported") {
		t.Error(err)
	}
}
