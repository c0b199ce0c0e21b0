package healthcheck_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hcm(check string) string {
	return `
stat_prefix: test
http_filters:
- name: check
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
    ` + check + `
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
access_log:
- name: log
  filter: {not_health_check_filter: {}}
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: log
    log_format: {text_format_source: {inline_string: "%PATH% %RESPONSE_CODE% %RESPONSE_FLAGS%\n"}}
- name: all
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: all
    log_format: {text_format_source: {inline_string: "%PATH% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"}}
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes: [{match: {prefix: /}, route: {cluster: a}}]
`
}

const path = "headers: [{name: ':path', string_match: {exact: /healthz}}]"

// lines hands over what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		name, check string
		draining    bool
		path        string
		code        int
		served      bool
		fail        string // x-envoy-immediate-health-check-fail
		log, all    string
	}{
		{"answered", "pass_through_mode: false\n    " + path, false, "/healthz", 200, false, "", "", "/healthz 200 - health_check_ok\n"},
		{"something else", "pass_through_mode: false\n    " + path, false, "/", 200, true, "", "/ 200 -\n", "/ 200 - via_upstream\n"},
		{"passed through", "pass_through_mode: true\n    " + path, false, "/healthz", 200, true, "", "", "/healthz 200 - via_upstream\n"},
		{"draining", "pass_through_mode: false\n    " + path, true, "/healthz", 503, false, "", "", "/healthz 503 LH health_check_failed\n"},
		{"draining, pass through", "pass_through_mode: true\n    " + path, true, "/healthz", 503, false, "", "", "/healthz 503 LH health_check_failed\n"},
		{"draining, something else", "pass_through_mode: true\n    " + path, true, "/", 200, true, "true", "/ 200 -\n", "/ 200 - via_upstream\n"},
		{"everything, without headers", "pass_through_mode: false", false, "/any", 200, false, "", "", "/any 200 - health_check_ok\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			served := false
			o := rig.Origin(t, func(http.ResponseWriter, *http.Request) { served = true })
			logs := map[string]lines{"log": make(lines, 1), "all": make(lines, 1)}
			r := rig.New(t, rig.Options{
				HCM: hcm(c.check), Origins: map[string]string{"a": o},
				Loggers: func(p string) (filters.Sink, error) { return logs[p], nil },
			})
			a := ask(t, r, c.path, c.draining)
			if a.Code != c.code || served != c.served || a.Body != "" || a.Header.Get("x-envoy-immediate-health-check-fail") != c.fail {
				t.Errorf("%d %q %v, served %v", a.Code, a.Body, a.Header, served)
			}
			if got := <-logs["all"]; got != c.all { // the last logger: the others are done
				t.Errorf("logged %q, wanted %q", got, c.all)
			}
			got := ""
			select {
			case got = <-logs["log"]:
			default:
			}
			if got != c.log {
				t.Errorf("logged %q but for health checks, wanted %q", got, c.log)
			}
		})
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for _, c := range []struct{ check, want string }{
		{path, "pass_through_mode: value is required"},
		{"pass_through_mode: false\n    cache_time: 1s", "cache_time"},
		{"pass_through_mode: false\n    headers: [{name: a, string_match: {prefix: ''}}]", "headers[0].string_match.prefix"},
	} {
		t.Run(c.want, func(t *testing.T) {
			_, err := rig.Parse(hcm(c.check))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, wanted %q in it", err, c.want)
			}
		})
	}
}

// ask sends a request; the proxy may begin to drain when it has a part of it.
func ask(t *testing.T, r *rig.Rig, path string, drain bool) rig.Answer {
	t.Helper()
	c := r.Dial()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost:", path)
	r.Await("http.test.downstream_rq_http1_total", 1)
	if drain {
		r.Drain()
	}
	_, _ = io.WriteString(c, " a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rig.Answer{Code: resp.StatusCode, Header: resp.Header, Body: string(b)}
}
