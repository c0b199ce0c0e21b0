package admin

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/logging"
	"github.com/weirproxy/weir/xds"
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
		Levels: logging.New(zap.InfoLevel),
		Drain:  func(DrainOptions) { calls.Add(1) }, Quit: func() { calls.Add(1) },
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

// /server_info and /ready?verbose say that the last known good configuration serves.
func TestServerInfoTellsOfLastKnownGood(t *testing.T) {
	var st xds.Status
	w := newWorld(t, "", Options{XDS: func() xds.Status { return st }})
	const name = "X-Weir-Last-Known-Good"
	if _, h, _ := w.ask(t, "GET /server_info"); h.Get(name) != "" {
		t.Errorf("%s: %s", name, h.Get(name))
	}
	st.LastGood = &xds.LastGoodStatus{Saved: time.Unix(1e9, 0), Types: []string{"cds"}, Resources: 3}
	if _, h, _ := w.ask(t, "GET /server_info"); h.Get(name) != "2001-09-09T01:46:40Z" {
		t.Errorf("%s: %q", name, h.Get(name))
	}
	if _, _, b := w.ask(t, "GET /ready?verbose"); !strings.Contains(b, "last known good") {
		t.Errorf("/ready?verbose: %q", b)
	}
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
	if got := w.get(t, "/stats?filter=^http.in.downstream_rq_total"); got != "http.in.downstream_rq_total: 0\n" {
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
	ls := logging.New(zap.InfoLevel)
	w := newWorld(t, "", Options{Levels: ls})
	level := func() (http, all string) {
		n := map[string]int{}
		ls.Each(func(name, level string) {
			if name == "http" {
				http = level
			}
			if n[level]++; n[level] > n[all] {
				all = level
			}
		})
		return http, all
	}
	f := func(query string, code int, body, http, all string) {
		t.Helper()
		c, _, b := w.ask(t, "POST /logging"+query)
		h, a := level()
		if c != code || !strings.HasPrefix(b, body) || !strings.Contains(b, "\n  http: "+http+"\n") || h != http || a != all {
			t.Errorf("%s: %d %q, levels %s and %s", query, c, b, h, a)
		}
	}
	const list = "active loggers:\n  a2a: "
	f("", 200, list+"info\n", "info", "info")
	f("?level=", 200, list+"info\n", "info", "info")
	f("?level=warning", 200, list+"warning\n", "warning", "warning")
	f("?level=trace", 200, list+"trace\n", "trace", "trace")
	f("?level=off", 200, list+"off\n", "off", "off")
	f("?paths=http:error", 200, list+"off\n", "error", "off")
	f("?http=info", 200, list+"off\n", "info", "off")
	f("?level=loud", 400, "error: unknown logger level\n\nusage: ", "info", "off")
	f("?paths=nothing:debug", 400, "error: unknown logger name\n", "info", "off")
	f("?paths=http", 400, "error: empty logger name or empty logger level\n", "info", "off")
	f("?other=debug", 400, "error: unknown logger name\n", "info", "off")
	f("?group=http:debug", 400, "error: group parameter requires fine-grain logging", "info", "off")
	f("?level=debug&paths=http:debug", 400, "error: invalid number of parameters\n", "info", "off")
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
	f("/stats?filter=^http.in", 200, "http.in.cx: 2\nhttp.in.rq_a: 1\nhttp.in.rq_b: 0\n")
	f("/stats?filter=^http.in&usedonly", 200, "http.in.cx: 2\nhttp.in.rq_a: 1\n")
	f("/stats?filter=^http.in&type=Gauges", 200, "http.in.cx: 2\n")
	f("/stats?filter=^http.in&usedonly&format=json", 200, `{"stats":[{"name":"http.in.cx","value":2},{"name":"http.in.rq_a","value":1}]}`)
	prom := "# TYPE envoy_http_rq_a counter\nenvoy_http_rq_a{envoy_http_conn_manager_prefix=\"in\"} 1\n"
	f("/stats/prometheus?filter=rq_a$", 200, prom)
	f("/stats?format=prometheus&filter=rq_a$", 200, prom)
	f("/stats?format=xml", 400, "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n")
	f("/stats?filter=(", 400, "Invalid re2 regex: missing closing ): `(`")
	f("/stats/prometheus?histogram_buckets=disjoint", 400, "unsupported prometheus histogram bucket mode")
	page := w.get(t, "/stats?format=active-html&filter=<b>|rq_a$")
	for _, want := range []string{"http.in.rq_a: 1\n", `http-equiv="refresh"`, `value="&lt;b&gt;|rq_a$"`, "<option selected>active-html"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
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

// What is counted of other listeners is counted of this one.
func TestOwnStats(t *testing.T) {
	w := newWorld(t, "", Options{})
	w.ask(t, "GET /nothing")
	w.ask(t, "GET /ready")
	got := w.get(t, "/stats?usedonly&filter=^(http|listener).admin")
	for _, want := range []string{
		"http.admin.downstream_rq_2xx: 1\n", "http.admin.downstream_rq_4xx: 1\n", "http.admin.downstream_rq_completed: 2\n",
		"http.admin.downstream_rq_total: 3\n", "http.admin.downstream_rq_active: 1\n", "listener.admin.downstream_cx_total: ",
		"http.admin.downstream_rq_time: P0(",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Servers that speak first are shown and forgotten.
func TestServerFirst(t *testing.T) {
	w := newWorld(t, "", Options{})
	known := w.proxy.Speakers()
	if body := w.get(t, "/server_first"); body != "{\n \"servers\": []\n}\n" {
		t.Errorf("got %s", body)
	}
	for _, a := range []string{"192.0.2.1:25", "[2001:db8::1]:3306", "192.0.2.2:21"} {
		known.Server(netip.MustParseAddrPort(a), "smtp", time.Now())
	}
	if body := w.get(t, "/server_first"); strings.Count(body, `"address"`) != 3 || !strings.Contains(body, `"address": "192.0.2.1:25",`+"\n   "+`"protocol": "smtp",`) {
		t.Errorf("got %s", body)
	}
	f := func(what string, code int, body string) {
		t.Helper()
		if c, _, b := w.ask(t, what); c != code || b != body {
			t.Errorf("%s: %d %q", what, c, b)
		}
	}
	f("POST /server_first/forget?address=192.0.2.1:25", 200, "forgot 1\n")
	f("POST /server_first/forget?address=192.0.2.1:25", 404, "192.0.2.1:25 is not known to speak first\n")
	f("POST /server_first/forget?address=x", 400, "address \"x\": not an IP address and a port\n")
	f("GET /server_first/forget", 405, "Method GET not allowed, POST required.")
	f("POST /server_first/forget", 200, "forgot 2\n")
}

func TestAllowedPaths(t *testing.T) {
	w := newWorld(t, "", Options{Allowed: func(target string) bool { return target == "/ready" }})
	if body := w.get(t, "/ready"); body != "LIVE\n" {
		t.Errorf("got %q", body)
	}
	if code, _, body := w.ask(t, "GET /stats?x"); code != 403 || body != "request to path /stats?x not allowed\n" {
		t.Errorf("%d %q", code, body)
	}
}

func TestProfilers(t *testing.T) {
	path := t.TempDir() + "/cpu.prof"
	w := newWorld(t, "", Options{ProfilePath: path, MutexTracing: true})
	f := func(what string, code int, body string) {
		t.Helper()
		if c, _, b := w.ask(t, what); c != code || b != body {
			t.Errorf("%s: %d %q", what, c, b)
		}
	}
	f("POST /cpuprofiler", 400, "?enable=<y|n>\n")
	f("POST /cpuprofiler?enable=y", 200, "OK\n")
	f("POST /cpuprofiler?enable=y", 200, "OK\n")
	f("POST /cpuprofiler?enable=n", 200, "OK\n")
	if b, err := os.ReadFile(path); err != nil || len(b) == 0 {
		t.Errorf("profile of %d bytes: %v", len(b), err)
	}
	f("POST /heapprofiler", 501, "The current build does not support heap profiler")
	f("POST /allocprofiler?enable=y", 200, "OK\n")
	for _, what := range []string{"GET /heap_dump", "POST /allocprofiler?enable=n"} {
		if code, _, body := w.ask(t, what); code != 200 || !strings.HasPrefix(body, "\x1f\x8b") {
			t.Errorf("%s: %d %.20q", what, code, body)
		}
	}
	if body := w.get(t, "/contention"); !strings.Contains(body, `"num_contentions": "`) {
		t.Errorf("got %s", body)
	}
	if body := w.get(t, "/memory/tcmalloc"); !strings.Contains(body, "/memory/classes/heap/objects:bytes") {
		t.Errorf("got %s", body)
	}
	f("GET /stats/recentlookups", 200, "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n")
	f("POST /stats/recentlookups/enable", 200, "OK\n")
	f("GET /stats/recentlookups", 200, "   Count Lookup\n\ntotal: 0\n")
}
