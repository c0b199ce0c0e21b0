package streams

import (
	"fmt"
	"testing"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/test/rig"
)

// lines is what an access log writes.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestResetIsLogged: a client that resets its stream is told apart from one that
// leaves, whenever it does.
func TestResetIsLogged(t *testing.T) {
	for _, c := range []struct {
		name    string
		end     bool // of the request
		started bool // the response has
		leave   bool // the whole connection goes
		want    string
	}{
		{"before the response", true, false, false, "DR http2.remote_reset 0"},
		{"within the response", true, true, false, "DR http2.remote_reset 200"},
		{"within the request", false, false, false, "DR http2.remote_reset 0"},
		{"within both", false, true, false, "DR http2.remote_reset 200"},
		{"leaves within the response", true, true, true, "DC downstream_remote_disconnect 200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, version := range []int{1, 2} {
				addr, came := origin(t, version)
				log := make(lines, 1)
				o := rig.Options{Origins: map[string]string{"o": addr}, Loggers: func(string) (filters.Sink, error) { return log, nil }}
				cluster := "o"
				if version == 2 {
					cluster = "h2"
				}
				o.Config = "clusters:\n- name: h2\n  load_assignment: " + rig.Endpoint("h2", addr) + "\n  typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}}"
				o.HCM = fmt.Sprintf(`
stat_prefix: test
http_filters: [$router]
access_log: [{name: f, typed_config: {$file_log, path: x, log_format: {text_format_source: {inline_string: "%%RESPONSE_FLAGS%% %%RESPONSE_CODE_DETAILS%% %%RESPONSE_CODE%%"}}}}]
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: %s}}]}]}
`, cluster)
				r := rig.New(t, o)
				h := r.DialH2()
				h.Request(1, c.end, "POST", "a.test", "/")
				if !c.end {
					_ = h.WriteData(1, false, []byte("some"))
				}
				a := <-came
				if c.started {
					a.answer(200)
					_ = a.send("part")
					if got := h.Read(1, 1); len(got) < 3 {
						t.Errorf("%q", got)
					}
				}
				if c.leave {
					_ = h.Conn.Close()
				} else if err := h.WriteRSTStream(1, http2.ErrCodeCancel); err != nil {
					t.Error(err)
				}
				if got := <-log; got != c.want {
					t.Errorf("HTTP/%d: %q, want %q", version, got, c.want)
				}
				r.Await("http.test.downstream_rq_rx_reset", 1)
				r.Await("http.test.downstream_rq_active", 0)
			}
		})
	}
}
