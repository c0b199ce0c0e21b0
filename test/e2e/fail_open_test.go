package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// direct serves on the ports that are intercepted, and shop's origins elsewhere:
// who answers tells which way a request went.
func (w *world) direct() {
	w.serveHTTP(w.at4("80"), named("direct"))
	w.serveHTTP(w.at6("80"), named("direct6"))
	w.serveTCP(w.at4("7001"), func(c net.Conn) { _, _ = io.Copy(c, c) })
}

// toV1 sends HTTP to another port of the server than it was meant for.
const toV1 = `
static_resources:
  listeners:
  -` + intercepted + `
    filter_chains:
    - name: http
      filter_chain_match: {application_protocols: [http/1.0, http/1.1]}
      filters:
      - name: hcm
        typed_config:
          $hcm
          stat_prefix: in
          http_filters: [$router]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: v1}}]}]}
    default_filter_chain:
      filters:
      - {name: tcp, typed_config: {$tcp_proxy, stat_prefix: opaque, cluster: there}}
  clusters:
  - {name: there, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, connect_timeout: 2s}
  - name: v1
    type: STATIC
    connect_timeout: 1s
    load_assignment: {cluster_name: v1, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: 8081}}}}]}]}
`

func TestKilledUnderLoadTrafficFlowsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.direct()
	w.serveHTTP(w.at4("8081"), named("v1"))
	before := w.network()
	p := w.start(toV1, takeAll...)
	url := "http://" + w.at4("80") + "/"
	if r := w.mustGet(w.client(), url); r.origin != "v1" {
		t.Fatalf("answered by %q, not intercepted", r.origin)
	}
	opaque := w.dial(w.at4("7001"))
	opaque.send("echo")
	opaque.expect("echo")
	idle := w.dial(w.at4("80"))
	idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	idle.response("GET")
	l := w.startLoad(url, 8, 0)
	w.more(l, 50)

	p.kill()
	killed := time.Now()

	// New connections reach the server itself.
	for _, x := range []struct{ url, origin string }{{url, "direct"}, {"http://" + w.at6("80") + "/", "direct6"}} {
		r, err := get(w.client(), x.url)
		if err != nil || r.origin != x.origin || r.seen == "" {
			t.Errorf("right after the kill: answered by %q, %v", r.origin, err)
		}
	}
	if took := time.Since(killed); took > time.Second {
		t.Errorf("direct answers took %s", took)
	}
	// What was established has ended, and is not left hanging.
	for _, x := range []*line{opaque, idle} {
		_ = x.SetReadDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(x.r); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an established connection: %q, %v", b, err)
		}
	}
	// The clients under load went over too, and lost at most what was under way.
	w.until("the load reaches the server", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.t.by["direct"] < 50 {
			return fmt.Errorf("%s", l.t)
		}
		return nil
	})
	if got := l.end(); got.failed > 8 {
		t.Error(got)
	}
	if names := w.tables(); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
	// Policy rules for marked packets may be left; nothing marks packets any more,
	// and the next command clears them.
	if out, code := w.run("intercept", "down"); code != 0 {
		t.Errorf("intercept down: %d\n%s", code, out)
	}
	w.restored(before)
}

func TestStoppedCleanlyNothingIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.direct()
	w.serveHTTP(w.at4("8081"), named("v1"))
	before := w.network()
	p := w.start(toV1, takeAll...)
	url := "http://" + w.at4("80") + "/"
	if r := w.mustGet(w.client(), url); r.origin != "v1" {
		t.Fatalf("answered by %q, not intercepted", r.origin)
	}
	p.stop()
	w.restored(before)
	if r := w.mustGet(w.client(), url); r.origin != "direct" {
		t.Errorf("answered by %q", r.origin)
	}
}

// A second start clears what a killed first one left.
func TestStartAfterKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("8081"), named("v1"))
	before := w.network()
	w.start(toV1, takeAll...).kill()
	p := w.start(toV1, takeAll...)
	if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.origin != "v1" {
		t.Errorf("answered by %q", r.origin)
	}
	p.stop()
	w.restored(before)
}
