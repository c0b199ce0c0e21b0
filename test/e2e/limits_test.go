package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guarded is plain's listener over cluster v, whose further fields are the %s.
const guarded = `
static_resources:
  listeners:
  - name: plain
    address: {socket_address: {address: 0.0.0.0, port_value: 8080}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          $hcm
          stat_prefix: plain
          http_filters: [$router]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: v}}]}]}
  clusters:
  - name: v
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: v
      endpoints:
      - lb_endpoints:
        - {endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: 8081}}}}
        - {endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: %s}}}}
    %s
`

func TestCircuitBreakerThresholds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var under atomic.Int32
	release := make(chan struct{})
	w.serveHTTP(w.at4("8081"), func(rw http.ResponseWriter, _ *http.Request) {
		under.Add(1)
		<-release
		_, _ = io.WriteString(rw, "done")
	})
	// Both endpoints are the same address: one host. One connection, one that waits, and no more.
	w.start(fmt.Sprintf(strings.Replace(guarded, "        - {endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: %s}}}}\n", "", 1),
		"circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 1, max_requests: 10}]}"))
	url := "http://" + w.gateway() + "/"
	answers := make(chan reply, 2)
	ask := func() {
		r, err := get(w.client(), url)
		if err != nil {
			r.body = err.Error()
		}
		answers <- r
	}
	go ask()
	w.until("the first is with the server", func() error {
		if under.Load() != 1 {
			return errors.New("it is not")
		}
		return nil
	})
	go ask()
	w.waitStat("cluster.v.upstream_rq_pending_active", 1)
	if s := w.stats(); s["cluster.v.circuit_breakers.default.cx_open"] != 1 || s["cluster.v.circuit_breakers.default.rq_pending_open"] != 1 {
		t.Errorf("cx_open %d, rq_pending_open %d, want 1 and 1", s["cluster.v.circuit_breakers.default.cx_open"], s["cluster.v.circuit_breakers.default.rq_pending_open"])
	}
	for range 3 {
		r := w.mustGet(w.client(), url)
		if r.code != 503 || r.header.Get("x-envoy-overloaded") != "true" {
			t.Errorf("over the limit: %d, x-envoy-overloaded: %q", r.code, r.header.Get("x-envoy-overloaded"))
		}
	}
	if n := w.stat("cluster.v.upstream_rq_pending_overflow"); n != 3 {
		t.Errorf("upstream_rq_pending_overflow: %d, want 3", n)
	}
	close(release)
	for range 2 {
		if r := <-answers; r.code != 200 || r.body != "done" {
			t.Errorf("%d %q", r.code, r.body)
		}
	}
	if n := w.stat("cluster.v.circuit_breakers.default.rq_pending_open"); n != 0 {
		t.Errorf("rq_pending_open: %d, want 0", n)
	}
}

// faulty is an origin that answers 500 while it is told to.
type faulty struct {
	bad  atomic.Bool
	hits atomic.Int64
}

func (f *faulty) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	f.hits.Add(1)
	if f.bad.Load() {
		http.Error(rw, "broken", http.StatusInternalServerError)
		return
	}
	named("mended")(rw, r)
}

func TestOutlierIsEjectedAndComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("8081"), named("good"))
	f := &faulty{}
	f.bad.Store(true)
	w.serveHTTP(w.at4("8082"), f.ServeHTTP)
	w.start(fmt.Sprintf(guarded, "8082", "outlier_detection: {consecutive_5xx: 3, interval: 0.1s, base_ejection_time: 1s, max_ejection_percent: 50}"))
	url := "http://" + w.gateway() + "/"
	if got := w.startLoad(url, 1, 20).wait(); got.failed != 3 {
		t.Errorf("%s; want 3 failures", got)
	}
	if s := w.stats(); s["cluster.v.outlier_detection.ejections_active"] != 1 || s["cluster.v.outlier_detection.ejections_enforced_consecutive_5xx"] != 1 {
		t.Errorf("ejections: %d active, %d enforced", s["cluster.v.outlier_detection.ejections_active"], s["cluster.v.outlier_detection.ejections_enforced_consecutive_5xx"])
	}
	if body := w.mustAdmin("/clusters"); !strings.Contains(body, "v::10.91.2.2:8082::health_flags::/failed_outlier_check") {
		t.Errorf("/clusters does not tell:\n%s", body)
	}
	f.bad.Store(false)
	w.until("it is back", func() error {
		if w.stat("cluster.v.outlier_detection.ejections_active") != 0 {
			return errors.New("ejected")
		}
		return nil
	})
	if got := w.startLoad(url, 1, 20).wait(); got.failed > 0 || got.by["mended"] == 0 {
		t.Error(got)
	}
}

func TestHalfOpenBreaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("8081"), named("good"))
	f := &faulty{}
	f.bad.Store(true)
	w.serveHTTP(w.at4("8082"), f.ServeHTTP)
	w.start(fmt.Sprintf(guarded, "8082", `typed_extension_protocol_options:
      weir.circuit_breaker:
        "@type": type.googleapis.com/xds.type.v3.TypedStruct
        type_url: type.googleapis.com/weir.circuit_breaker
        value: {consecutive_failures: 4, open_for: 0.3s, half_open_requests: 1}`))
	url := "http://" + w.gateway() + "/"
	if got := w.startLoad(url, 1, 20).wait(); got.failed != 4 || f.hits.Load() != 4 {
		t.Errorf("%s, %d at the broken host; want 4", got, f.hits.Load())
	}
	if body := w.mustAdmin("/clusters"); !strings.Contains(body, "v::10.91.2.2:8082::circuit_breaker::open") {
		t.Errorf("/clusters does not tell:\n%s", body)
	}
	// Still broken, it gets one probe at a time.
	until := time.Now().Add(time.Second)
	for time.Now().Before(until) {
		w.mustGet(w.client(), url)
	}
	if n := f.hits.Load(); n < 5 || n > 9 {
		t.Errorf("a second of being broken: %d requests at the host, want 4 and some 3 probes", n)
	}
	f.bad.Store(false)
	w.until("it is closed", func() error {
		w.mustGet(w.client(), url)
		if w.stat("cluster.v.weir_circuit_breaker.open_hosts") != 0 {
			return errors.New("open")
		}
		return nil
	})
	if got := w.startLoad(url, 1, 20).wait(); got.failed > 0 || got.by["mended"] == 0 {
		t.Error(got)
	}
}
