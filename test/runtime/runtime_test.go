// Package runtime_test changes runtime values under a running data path: what reads them follows with the next request.
package runtime_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hcm has routes and filters that read keys.
const hcm = `
stat_prefix: test
access_log:
- name: file
  filter:
    or_filter:
      filters:
      - runtime_filter: {runtime_key: log.share}
      - status_code_filter: {comparison: {op: EQ, value: {default_value: 1, runtime_key: log.status}}}
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: log
    log_format: {text_format_source: {inline_string: "%REQ(:PATH)%\n"}}
http_filters:
- name: fault
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
    abort: {http_status: 503, percentage: {numerator: 0}}
    headers: [{name: x-fault, present_match: true}]
- name: limit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
    stat_prefix: limit
    token_bucket: {max_tokens: 1, fill_interval: 3600s}
    filter_enabled: {default_value: {numerator: 0}, runtime_key: limit.enabled}
    filter_enforced: {default_value: {numerator: 100}, runtime_key: limit.enforced}
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - match: {prefix: /canary, runtime_fraction: {default_value: {numerator: 0}, runtime_key: canary}}
      route: {cluster: b}
    - match: {prefix: /weighted}
      route:
        weighted_clusters:
          runtime_key_prefix: weights
          clusters: [{name: a, weight: 100}, {name: b, weight: 0}]
    - match: {prefix: /}
      route: {cluster: a}
`

// world is a rig whose origins answer with their names.
type world struct {
	*rig.Rig
	t      *testing.T
	client *http.Client
	log    *sink
}

type sink struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func newWorld(t *testing.T) *world {
	says := func(name string) string {
		return rig.Origin(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(name)) })
	}
	w := &world{t: t, log: &sink{}}
	w.Rig = rig.New(t, rig.Options{
		HCM: hcm, Origins: map[string]string{"a": says("a"), "b": says("b")},
		Loggers: func(string) (filters.Sink, error) { return w.log, nil },
	})
	w.client = rig.Client(t)
	return w
}

// gets says what a request is answered with.
func (w *world) gets(path, want string, headers ...string) {
	w.t.Helper()
	a := w.Do(w.client, "GET", path, headers...)
	got := a.Body
	if a.Code != 200 {
		got = http.StatusText(a.Code)
	}
	if got != want {
		w.t.Errorf("%s: %q, want %q", path, got, want)
	}
}

func TestRouteFraction(t *testing.T) {
	w := newWorld(t)
	w.gets("/canary", "a")
	w.SetRuntime("canary", "100")
	w.gets("/canary", "b")
	w.SetRuntime("canary", "{numerator: 0, denominator: MILLION}")
	w.gets("/canary", "a")
	w.SetRuntime("canary", "{numerator: 1000000, denominator: MILLION}")
	w.gets("/canary", "b")
	w.SetRuntime("canary", "words")
	w.gets("/canary", "a")
}

func TestWeights(t *testing.T) {
	w := newWorld(t)
	w.gets("/weighted", "a")
	w.SetRuntime("weights.a", "0", "weights.b", "5")
	w.gets("/weighted", "b")
	w.SetRuntime("weights.b", "0")
	w.gets("/weighted", "a") // nobody has a weight: the first
	w.SetRuntime("weights.a", "", "weights.b", "")
	w.gets("/weighted", "a")
}

func TestFault(t *testing.T) {
	w := newWorld(t)
	w.gets("/", "a", "x-fault", "1")
	w.SetRuntime("fault.http.abort.abort_percent", "100")
	w.gets("/", "Service Unavailable", "x-fault", "1")
	w.gets("/", "a")
	w.SetRuntime("fault.http.abort.http_status", "418")
	w.gets("/", "I'm a teapot", "x-fault", "1")
	w.SetRuntime("fault.http.abort.http_status", "99")
	w.gets("/", "Service Unavailable", "x-fault", "1")
	w.SetRuntime("fault.http.max_active_faults", "0")
	w.gets("/", "a", "x-fault", "1")
}

func TestLocalRateLimit(t *testing.T) {
	w := newWorld(t)
	w.gets("/", "a")
	w.gets("/", "a")
	w.SetRuntime("limit.enabled", "100")
	w.gets("/", "a")
	w.gets("/", "Too Many Requests")
	w.SetRuntime("limit.enforced", "0")
	w.gets("/", "a")
	w.SetRuntime("limit.enabled", "", "limit.enforced", "")
	w.gets("/", "a")
}

func TestAccessLogFilters(t *testing.T) {
	w := newWorld(t)
	w.gets("/1", "a")
	w.SetRuntime("log.share", "100")
	w.gets("/2", "a")
	w.SetRuntime("log.share", "0")
	w.gets("/3", "a")
	w.SetRuntime("log.status", "200")
	w.gets("/4", "a")
	if !rig.Eventually(func() bool { return w.log.String() == "/2\n/4\n" }) {
		t.Errorf("logged %q", w.log.String())
	}
}

func TestBreakers(t *testing.T) {
	w := newWorld(t)
	w.gets("/", "a")
	w.SetRuntime("circuit_breakers.a.default.max_requests", "0")
	w.gets("/", "Service Unavailable")
	w.SetRuntime("circuit_breakers.a.default.max_requests", "1")
	w.gets("/", "a")
	w.SetRuntime("circuit_breakers.a.default.max_requests", "")
	w.gets("/", "a")
	if n := w.Stat("cluster.a.upstream_cx_total"); n != 1 {
		t.Errorf("%d connections: values must leave them alone", n)
	}
}

// Requests are tried again unless upstream.use_retry says otherwise.
func TestUseRetry(t *testing.T) {
	fails := rig.Origin(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	w := rig.New(t, rig.Options{Origins: map[string]string{"a": fails}, HCM: `
stat_prefix: test
http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a, retry_policy: {retry_on: 5xx, num_retries: 2}}}]}]}
`})
	client := rig.Client(t)
	f := func(want int64) {
		t.Helper()
		before := w.Stat("cluster.a.upstream_rq_retry")
		if a := w.Do(client, "GET", "/"); a.Code != 503 {
			t.Errorf("%d", a.Code)
		}
		if n := w.Stat("cluster.a.upstream_rq_retry") - before; n != want {
			t.Errorf("%d retries, want %d", n, want)
		}
	}
	f(2)
	w.SetRuntime("upstream.use_retry", "0")
	f(0)
	w.SetRuntime("upstream.use_retry", "100", "upstream.base_retry_backoff_ms", "1")
	f(2)
}
