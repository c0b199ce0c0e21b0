package storm

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/test/rig"
)

// TestStorm pushes without a pause under load: weights, endpoints, load-balancing policies, certificates, filter chains, clusters that
// come and go, and the routes to them.
func TestStorm(t *testing.T) {
	for name, delta := range map[string]bool{"state of the world": false, "delta": true} {
		t.Run(name, func(t *testing.T) { storm(t, delta) })
	}
}

func storm(t *testing.T, delta bool) {
	w := newWorld(t, delta, 3*time.Second)
	s := &script{plain: freePort(t), tls: freePort(t)}
	for i := range s.origins {
		_, s.origins[i] = named(t, fmt.Sprint("o", i))
	}
	pool := x509.NewCertPool()
	for i := range s.certs {
		c := rig.Certificate(t, "a.example", "b.example")
		s.certs[i] = fmt.Sprintf("{certificate_chain: %s, private_key: %s}", inline(t, c.CertFile), inline(t, c.KeyFile))
		leaf, err := x509.ParseCertificate(c.TLS.Certificate[0])
		w.must(err)
		pool.AddCert(leaf)
	}
	w.push(s.at(0))
	var l load
	for i := range 3 {
		l.start(fmt.Sprint("http://127.0.0.1:", s.plain), "", nil, i)
		l.start(fmt.Sprint("https://127.0.0.1:", s.tls), "a.example", pool, i)
		l.start(fmt.Sprint("https://127.0.0.1:", s.tls), "b.example", pool, i)
	}
	stop := sync.OnceFunc(l.stop)
	defer stop()
	var heap [2]uint64
	for i := 1; i <= *pushes; i++ {
		w.push(s.at(i))
		switch i {
		case *pushes / 4:
			heap[0] = heapNow()
		case *pushes:
			heap[1] = heapNow()
		}
	}
	stop()
	t.Logf("%d pushes, %d requests, heap %d KiB after a quarter, %d KiB at the end", *pushes, l.done.Load(), heap[0]>>10, heap[1]>>10)
	for _, err := range l.errs {
		t.Error(err)
	}
	if n := l.done.Load(); n < int64(*pushes) {
		t.Errorf("only %d requests", n)
	}
	if r := w.refusals(); len(r) > 0 {
		t.Errorf("refused: %q", r)
	}
	if grown := int64(heap[1]) - int64(heap[0]); grown > 4<<20 {
		t.Errorf("the heap grew by %d KiB in the last three quarters", grown>>10)
	}
	// Nothing is left of what came and went.
	want := len(w.proxy.Snapshot().Clusters)
	w.until("removed clusters are gone", func() bool { return len(w.proxy.Clusters().Clusters()) == want })
	w.until("retired listeners and connections are gone", func() bool {
		active := int64(0)
		for _, i := range w.proxy.Listeners() {
			active += int64(i.Active)
		}
		return active == 0 && w.stat("listener_manager.total_listeners_draining") == 0
	})
	w.until("the statistics of removed clusters are gone", func() bool {
		var b strings.Builder
		_ = w.store.WriteText(&b, stats.Filter{})
		return strings.Count(b.String(), "cluster.x") == strings.Count(b.String(), fmt.Sprintf("cluster.x%d.", *pushes))
	})
	idle, fds := runtime.NumGoroutine(), files(t)
	for i := *pushes + 1; i <= *pushes+10; i++ { // once more without load: as many as before
		w.push(s.at(i))
	}
	w.until("goroutines and descriptors are as before", func() bool {
		return len(w.proxy.Clusters().Clusters()) == want && runtime.NumGoroutine() <= idle+2 && files(t) <= fds+2
	})
}

func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A script says what each push has.
type script struct {
	plain, tls int
	origins    [4]string // ports
	certs      [2]string
}

// at is the i-th push. /a is for o0 and o1, /b for o2 and o3, /x for o0 by a cluster that is new, /w for all.
func (s *script) at(i int) string {
	end := func(ports ...string) (out string) {
		for _, p := range ports {
			out += "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " + p + "}}}},"
		}
		return "endpoints: [{lb_endpoints: [" + out + "]}]"
	}
	a, b := s.origins[:2], s.origins[2:]
	if i%4 == 1 {
		a = a[:1]
	}
	if i%4 == 3 {
		b = b[1:]
	}
	policy := []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"}[i%3]
	hcm := func(prefix, more string) string {
		return `{name: hcm, typed_config: {$hcm, stat_prefix: ` + prefix + `, ` + more + ` rds: {route_config_name: r, config_source: {ads: {}, resource_api_version: V3}}, http_filters: [$router]}}`
	}
	changing := fmt.Sprintf("stream_idle_timeout: %ds,", 100+i/5) // every fifth push is another chain
	tls := `transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificate_sds_secret_configs: [{name: cert, sds_config: {ads: {}, resource_api_version: V3}}]}}}`
	cluster := func(name string) string {
		return "- {$Cluster, name: " + name + ", type: EDS, connect_timeout: 1s, lb_policy: " + policy + ", eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}}\n"
	}
	x := fmt.Sprint("x", i)
	return fmt.Sprintf(`resources:
- {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret, name: cert, tls_certificate: %s}
- $Listener
  name: plain
  address: {socket_address: {address: 127.0.0.1, port_value: %d}}
  filter_chains: [{name: http, filters: [%s]}]
- $Listener
  name: tls
  address: {socket_address: {address: 127.0.0.1, port_value: %d}}
  listener_filters: [$tls_inspector]
  filter_chains:
  - {name: a, filter_chain_match: {server_names: [a.example]}, filters: [%s], %s}
  - {name: b, filter_chain_match: {server_names: [b.example]}, filters: [%s], %s}
- $Routes
  name: r
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - {match: {prefix: /a}, route: {cluster: a}}
    - {match: {prefix: /b}, route: {cluster: b}}
    - {match: {prefix: /x}, route: {cluster: %s}}
    - {match: {prefix: /w}, route: {weighted_clusters: {clusters: [{name: a, weight: %d}, {name: b, weight: 100}]}}}
`, s.certs[i/7%2], s.plain, hcm("plain", changing), s.tls, hcm("a", ""), tls, hcm("b", changing), tls, x, 1+i%100) +
		cluster("a") + cluster("b") + cluster(x) +
		"- {$Endpoints, cluster_name: a, " + end(a...) + "}\n- {$Endpoints, cluster_name: b, " + end(b...) + "}\n- {$Endpoints, cluster_name: " + x + ", " + end(s.origins[0]) + "}\n"
}

// allowed are the origins of a path.
var allowed = map[string][]string{
	"/a": {"o0", "o1"}, "/b": {"o2", "o3"}, "/x": {"o0"}, "/w": {"o0", "o1", "o2", "o3"},
}

// load asks all the time, by requests that no client sends twice by itself.
type load struct {
	quit atomic.Bool
	done atomic.Int64
	wg   sync.WaitGroup

	mu   sync.Mutex
	errs []error // guarded by mu, the first of each client
}

func (l *load) start(base, name string, pool *x509.CertPool, n int) {
	tr := &http.Transport{ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1}
	if pool != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: name}
		if n == 0 {
			tr.ForceAttemptHTTP2 = false
			tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}
	}
	c := &http.Client{Transport: tr, Timeout: 15 * time.Second}
	l.wg.Go(func() {
		defer tr.CloseIdleConnections()
		for i := 0; !l.quit.Load(); i++ {
			path := []string{"/a", "/b", "/x", "/w"}[(i+n)%4]
			if err := ask(c, base, name, path); err != nil {
				l.mu.Lock()
				l.errs = append(l.errs, fmt.Errorf("%s%s of %q, request %d: %w", base, path, name, i, err))
				l.mu.Unlock()
				return
			}
			l.done.Add(1)
		}
	})
}

func (l *load) stop() { l.quit.Store(true); l.wg.Wait() }

func ask(c *http.Client, base, host, path string) error {
	r, err := http.NewRequest(http.MethodPost, base+path, io.NopCloser(strings.NewReader("body")))
	if err != nil {
		return err
	}
	r.Host = host
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !slices.Contains(allowed[path], string(b)) {
		return fmt.Errorf("%s by %q", resp.Status, b)
	}
	return nil
}
