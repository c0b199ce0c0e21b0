package stream_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/accesslog/file"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hcm(loggers string) string {
	return `
stat_prefix: test
http_filters:
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
access_log:
` + loggers + `
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes: [{name: all, match: {prefix: /}, route: {cluster: a}}]
`
}

const line = `log_format: {text_format_source: {inline_string: "%REQ(:METHOD)% %PATH% %RESPONSE_CODE% %ROUTE_NAME% %UPSTREAM_CLUSTER% %BYTES_SENT%\n"}}`

// TestLoggersShareFiles takes a request through a connection manager that logs to
// a file twice and to both streams, which are files here.
func TestLoggersShareFiles(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "access.log")
	files := file.NewFiles(stats.NewStore().Scope(""))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- files.Run(ctx) }()
	o := rig.Origin(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("served")) })
	r := rig.New(t, rig.Options{
		HCM: hcm(`
- {name: a, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: ` + log + `, ` + line + `}}
- name: b
  filter: {status_code_filter: {comparison: {op: GE, value: {default_value: 500}}}}
  typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: ` + log + `}
- {name: c, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog, ` + line + `}}
- {name: d, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog, ` + line + `}}
`),
		Origins: map[string]string{"a": o},
		Loggers: func(path string) (filters.Sink, error) {
			if strings.HasPrefix(path, "/dev/") {
				path = filepath.Join(dir, filepath.Base(path))
			}
			return files.Open(path)
		},
	})
	c := rig.Client(t)
	for range 2 {
		if a := r.Do(c, "GET", "/x?y=1"); a.Code != 200 {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
	}
	c.CloseIdleConnections()
	r.Await("http.test.downstream_cx_active", 0) // both lines are logged
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"access.log", "stdout", "stderr"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Repeat("GET /x?y=1 200 all a 6\n", 2); string(b) != want {
			t.Errorf("%s: %q, wanted %q", name, b, want)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for _, x := range []struct{ logger, want string }{
		{
			`{"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog, log_format: {text_format: "%NOPE%"}}`,
			"access_log[0].typed_config.log_format.text_format: Not supported field in StreamInfo: NOPE",
		},
		{
			`{"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: a, log_format: {json_format: {k: "%TRACE_ID%"}}}`,
			`access_log[0].typed_config.log_format.json_format["k"]: valid in Envoy, not supported here: TRACE_ID`,
		},
		{`{"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog}`, "path: value length must be at least 1"},
		{`{"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: a, format: "%PROTOCOL%"}`, "use log_format"},
	} {
		_, err := rig.Parse(hcm("- {name: a, typed_config: " + x.logger + "}"))
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, wanted %q in it", x.logger, err, x.want)
		}
	}
}
