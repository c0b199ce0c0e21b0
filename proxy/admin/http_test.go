package admin

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestHeadersAreEnvoys(t *testing.T) {
	w := newWorld(t, "", Options{})
	for _, c := range []struct {
		path, contentType string
		code              int
	}{
		{"/ready", "text/plain; charset=UTF-8", 200},
		{"/clusters", "text/plain; charset=UTF-8", 200},
		{"/clusters?format=json", "application/json", 200},
		{"/config_dump", "application/json", 200},
		{"/stats", "text/plain; charset=UTF-8", 200},
		{"/stats?format=json", "application/json", 200},
		{"/stats/prometheus", "text/plain; charset=UTF-8", 200},
		{"/", "text/html; charset=UTF-8", 200},
		{"/nothing", "text/plain; charset=UTF-8", 404},
		{"/logging", "text/plain; charset=UTF-8", 405},
	} {
		code, h, _ := w.ask(t, "GET "+c.path)
		if code != c.code || h.Get("Content-Type") != c.contentType {
			t.Errorf("%s: %d %q, want %d %q", c.path, code, h.Get("Content-Type"), c.code, c.contentType)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-cache, max-age=0", "X-Content-Type-Options": "nosniff", "Server": "weir",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", c.path, name, got, want)
			}
		}
	}
}

// Every row of the table answers with what its method rule says; the wrong
// method changes nothing.
func TestMethods(t *testing.T) {
	var calls atomic.Int32
	w := newWorld(t, "", Options{
		Level: zap.NewAtomicLevelAt(zap.InfoLevel),
		Drain: func(DrainOptions) { calls.Add(1) }, Quit: func() { calls.Add(1) },
		ReopenLogs: func() { calls.Add(1) }, FailHealthChecks: func(bool) { calls.Add(1) },
	})
	for _, e := range w.table {
		if !e.posts {
			continue
		}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			code, h, body := w.ask(t, method+" "+e.path)
			if want := "Method " + method + " not allowed, POST required."; code != 405 || body != want || h.Get("Allow") != "POST" {
				t.Errorf("%s %s: %d %q", method, e.path, code, body)
			}
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls by wrong methods", n)
	}
	if code, _, body := w.ask(t, "HEAD /ready"); code != 200 || body != "" {
		t.Errorf("HEAD /ready: %d %q", code, body)
	}
}

func TestUnknownPath(t *testing.T) {
	w := newWorld(t, "", Options{})
	for _, path := range []string{"/nothing", "/ready/", "/readyx", "/stats/", "/debug"} {
		code, _, body := w.ask(t, "GET "+path)
		if code != 404 || !strings.HasPrefix(body, "invalid path. admin commands are:\n  /: Admin home page\n") {
			t.Errorf("%s: %d %.60q", path, code, body)
		}
	}
	golden(t, "help.txt", w.get(t, "/help"))
	if home := w.get(t, "/"); strings.Count(home, "<tr>") != len(w.table) {
		t.Errorf("the home page has not every endpoint:\n%s", home)
	}
}

// A web page in a browser on this machine reaches nothing: neither by a name that
// it resolves to loopback, nor by a form.
func TestGuard(t *testing.T) {
	w := newWorld(t, "", Options{Hosts: []string{"Gateway.Example"}})
	port := w.addr[strings.LastIndex(w.addr, ":"):]
	for _, c := range []struct {
		what    string
		headers []string
		code    int
	}{
		{"GET /ready", nil, 200},
		{"GET /ready", []string{"Host", "localhost" + port}, 200},
		{"GET /ready", []string{"Host", "LocalHost"}, 200},
		{"GET /ready", []string{"Host", "a.localhost."}, 200},
		{"GET /ready", []string{"Host", "[::1]" + port}, 200},
		{"GET /ready", []string{"Host", "[::1]"}, 200},
		{"GET /ready", []string{"Host", "10.0.0.7:1"}, 200},
		{"GET /ready", []string{"Host", "gateway.example" + port}, 200},
		{"GET /ready", []string{"Host", "rebound.example" + port}, 403},
		{"GET /config_dump", []string{"Host", "127.0.0.1.rebound.example"}, 403},
		{"GET /ready", []string{"Host", "localhost.rebound.example"}, 403},
		{"GET /ready", []string{"Host", "notlocalhost"}, 403},
		{"POST /healthcheck/ok", nil, 200},
		{"POST /healthcheck/fail", []string{"Origin", "http://page.example"}, 403},
		{"POST /healthcheck/fail", []string{"Origin", "null"}, 403},
		{"POST /healthcheck/fail", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST /healthcheck/fail", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"POST /healthcheck/ok", []string{"Origin", "http://" + w.addr}, 200},
		{"GET /ready", []string{"Origin", "http://page.example"}, 200}, // but the page cannot read it
	} {
		code, h, body := w.ask(t, c.what, c.headers...)
		if code != c.code {
			t.Errorf("%s %q: %d %q, want %d", c.what, c.headers, code, body, c.code)
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %q: other origins may read", c.what, c.headers)
		}
	}
	if body := w.get(t, "/ready"); body != "LIVE\n" {
		t.Errorf("a refused POST had an effect: %q", body)
	}
}

func TestReadyAndHealth(t *testing.T) {
	var state atomic.Pointer[string]
	set := func(s string) { state.Store(&s) }
	set("PRE_INITIALIZING")
	var failing atomic.Bool
	w := newWorld(t, "", Options{State: func() string { return *state.Load() }, FailHealthChecks: failing.Store})
	f := func(code int, body string) {
		t.Helper()
		if c, _, b := w.ask(t, "GET /ready"); c != code || b != body {
			t.Errorf("/ready: %d %q, want %d %q", c, b, code, body)
		}
	}
	f(503, "PRE_INITIALIZING\n")
	set("INITIALIZING")
	f(503, "INITIALIZING\n")
	w.ask(t, "POST /healthcheck/fail")
	f(503, "INITIALIZING\n")
	set("LIVE")
	f(503, "DRAINING\n")
	if !failing.Load() {
		t.Error("health checks were not told")
	}
	if info := w.get(t, "/server_info"); !strings.Contains(info, `"state": "DRAINING"`) {
		t.Errorf("/server_info: %s", info)
	}
	w.ask(t, "POST /healthcheck/ok")
	f(200, "LIVE\n")
	if failing.Load() {
		t.Error("health checks go on failing")
	}
	set("DRAINING")
	f(503, "DRAINING\n")
}

func TestControl(t *testing.T) {
	var drained DrainOptions
	var drains, quits, reopens int
	w := newWorld(t, "", Options{
		Drain: func(o DrainOptions) { drained = o; drains++ }, Quit: func() { quits++ }, ReopenLogs: func() { reopens++ },
	})
	f := func(what string) {
		t.Helper()
		if code, _, body := w.ask(t, what); code != 200 || body != "OK\n" {
			t.Errorf("%s: %d %q", what, code, body)
		}
	}
	f("POST /drain_listeners")
	if drained != (DrainOptions{}) {
		t.Errorf("drained %+v", drained)
	}
	f("POST /drain_listeners?graceful&inboundonly")
	if drained != (DrainOptions{Graceful: true, InboundOnly: true}) {
		t.Errorf("drained %+v", drained)
	}
	f("POST /drain_listeners?graceful&skip_exit")
	if drained != (DrainOptions{Graceful: true, SkipExit: true}) || drains != 3 {
		t.Errorf("drained %+v, %d times", drained, drains)
	}
	f("POST /quitquitquit")
	f("POST /reopen_logs")
	if quits != 1 || reopens != 1 {
		t.Errorf("quit %d times, reopened %d times", quits, reopens)
	}
	w.o.Stats.Scope("http.in").Counter("downstream_rq_total").Add(3)
	f("POST /reset_counters")
	if got := w.get(t, "/stats?filter=rq_total"); got != "http.in.downstream_rq_total: 0\n" {
		t.Errorf("after reset: %q", got)
	}
	if code, _, body := w.ask(t, "POST /runtime_modify?a=b"); code != 503 || body != "No admin layer specified" {
		t.Errorf("runtime_modify: %d %q", code, body)
	}
}

func TestControlThatNobodyHas(t *testing.T) {
	w := newWorld(t, "", Options{})
	for _, path := range []string{"/drain_listeners", "/quitquitquit", "/reopen_logs", "/logging"} {
		if code, _, body := w.ask(t, "POST "+path); code != 503 || !strings.Contains(body, "not available in this process") {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
}

func TestLogging(t *testing.T) {
	level := zap.NewAtomicLevelAt(zap.InfoLevel)
	w := newWorld(t, "", Options{Level: level})
	f := func(query string, code int, body string, want zapcore.Level) {
		t.Helper()
		c, _, b := w.ask(t, "POST /logging"+query)
		if c != code || !strings.HasPrefix(b, body) || level.Level() != want {
			t.Errorf("%s: %d %q, level %v", query, c, b, level.Level())
		}
	}
	f("", 200, "active loggers:\n  weir: info\n", zap.InfoLevel)
	f("?level=", 200, "active loggers:\n  weir: info\n", zap.InfoLevel)
	f("?level=warning", 200, "active loggers:\n  weir: warning\n", zap.WarnLevel)
	f("?level=trace", 200, "active loggers:\n  weir: debug\n", zap.DebugLevel)
	f("?level=critical", 200, "active loggers:\n  weir: critical\n", zap.DPanicLevel)
	f("?level=off", 200, "active loggers:\n  weir: off\n", zap.FatalLevel+1)
	f("?paths=weir:error", 200, "active loggers:\n  weir: error\n", zap.ErrorLevel)
	f("?weir=info", 200, "active loggers:\n  weir: info\n", zap.InfoLevel)
	f("?level=loud", 400, "error: unknown logger level \"loud\"\n\nusage: ", zap.InfoLevel)
	f("?paths=http:debug", 400, "error: unknown logger name \"http\"\n", zap.InfoLevel)
	f("?paths=weir", 400, "error: empty logger level\n", zap.InfoLevel)
	f("?other=debug", 400, "error: unknown logger name\n", zap.InfoLevel)
	f("?level=debug&paths=weir:debug", 400, "error: invalid number of parameters\n", zap.InfoLevel)
}

func TestStats(t *testing.T) {
	w := newWorld(t, "", Options{})
	sc := w.o.Stats.Scope("http.in")
	sc.Counter("rq_a").Inc()
	sc.Counter("rq_b")
	sc.Gauge("cx").Set(2)
	f := func(path string, code int, want string) {
		t.Helper()
		if c, _, body := w.ask(t, "GET "+path); c != code || body != want {
			t.Errorf("%s: %d\n%s\nwant %d\n%s", path, c, body, code, want)
		}
	}
	f("/stats?filter=^http", 200, "http.in.cx: 2\nhttp.in.rq_a: 1\nhttp.in.rq_b: 0\n")
	f("/stats?filter=^http&usedonly", 200, "http.in.cx: 2\nhttp.in.rq_a: 1\n")
	f("/stats?filter=^http&type=Gauges", 200, "http.in.cx: 2\n")
	f("/stats?filter=^http&usedonly&format=json", 200, `{"stats":[{"name":"http.in.cx","value":2},{"name":"http.in.rq_a","value":1}]}`)
	prom := "# TYPE envoy_http_rq_a counter\nenvoy_http_rq_a{envoy_http_conn_manager_prefix=\"in\"} 1\n"
	f("/stats/prometheus?filter=rq_a", 200, prom)
	f("/stats?format=prometheus&filter=rq_a", 200, prom)
	f("/stats?format=xml", 400, "usage: /stats?format=(json|prometheus|text)\n\n")
	f("/stats?format=html", 400, "format \"html\": valid in Envoy, not supported here\n")
	f("/stats?filter=(", 400, "filter \"(\": error parsing regexp: missing closing ): `(`\n")
	f("/stats/prometheus?histogram_buckets=disjoint", 400,
		"histogram_buckets \"disjoint\": Prometheus has cumulative buckets and summaries\n")
	if code, _, _ := w.ask(t, "GET /stats?histogram_buckets=some"); code != http.StatusBadRequest {
		t.Errorf("histogram_buckets=some: %d", code)
	}
}

func TestProfiles(t *testing.T) {
	w := newWorld(t, "", Options{})
	if body := w.get(t, "/debug/pprof/"); !strings.Contains(body, "goroutine") {
		t.Errorf("index: %.200s", body)
	}
	if body := w.get(t, "/debug/pprof/goroutine?debug=1"); !strings.HasPrefix(body, "goroutine profile: total ") {
		t.Errorf("goroutine: %.200s", body)
	}
	if body := w.get(t, "/debug/pprof/cmdline"); body == "" {
		t.Error("cmdline is empty")
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t, "", Options{})
	if code, _, body := w.ask(t, "GET /explain?q=x"); code != 400 || !strings.Contains(body, "not a question") {
		t.Error(code, body)
	}
	code, _, body := w.ask(t, "GET /explain?q="+url.QueryEscape(`{"listener":"nothing"}`))
	if code != 200 || !strings.Contains(body, `no listener is named \"nothing\"`) {
		t.Error(code, body)
	}
}
