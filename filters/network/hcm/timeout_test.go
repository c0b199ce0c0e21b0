package hcm_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// bounded is a connection manager with timeouts, and a route with its own.
func bounded(hcm, route string) string {
	return fmt.Sprintf(`
stat_prefix: test
%s
http_filters:
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a%s}}]}]}
`, hcm, route)
}

// TestTimeoutsOfAnOriginThatNeverAnswers sets one bound at a time and looks at
// the answer and at what counted it (Envoy: timeouts FAQ).
func TestTimeoutsOfAnOriginThatNeverAnswers(t *testing.T) {
	for _, c := range []struct {
		name, hcm, route string
		code             int
		body, counter    string
		want             int64
	}{
		{"route", "", ", timeout: 0.05s", 504, "upstream request timeout", "cluster.a.upstream_rq_timeout", 1},
		{"per try", "", ", retry_policy: {retry_on: gateway-error, num_retries: 2, per_try_timeout: 0.03s, retry_back_off: {base_interval: 0.001s}}", 504, "upstream request timeout", "cluster.a.upstream_rq_per_try_timeout", 3},
		{"stream idle", "stream_idle_timeout: 0.05s", "", 504, "stream timeout", "http.test.downstream_rq_idle_timeout", 1},
		{"route idle over the stream's", "stream_idle_timeout: 60s", ", idle_timeout: 0.05s", 504, "stream timeout", "http.test.downstream_rq_idle_timeout", 1},
		{"max stream duration", "common_http_protocol_options: {max_stream_duration: 0.05s}", "", 504, "downstream duration timeout", "cluster.a.upstream_rq_max_duration_reached", 1},
		{"route max stream duration", "", ", max_stream_duration: {max_stream_duration: 0.05s}", 504, "downstream duration timeout", "cluster.a.upstream_rq_max_duration_reached", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := rig.Origin(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			r := rig.New(t, rig.Options{HCM: bounded(c.hcm, c.route), Origins: map[string]string{"a": o}})
			a := r.Do(rig.Client(t), "GET", "/")
			if a.Code != c.code || a.Body != c.body {
				t.Errorf("%d %q, want %d %q", a.Code, a.Body, c.code, c.body)
			}
			r.Await(c.counter, c.want)
		})
	}
}

// TestTimeoutsOfAClientThatNeverFinishes sends the beginning of a request.
func TestTimeoutsOfAClientThatNeverFinishes(t *testing.T) {
	for _, c := range []struct {
		name, hcm, send string
		code            int
		counter         string
	}{
		{"head", "request_headers_timeout: 0.05s", "GET / HTTP/1.1\r\nHost: x\r\n", 408, "http.test.downstream_rq_header_timeout"},
		{"whole request", "request_timeout: 0.05s", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", 408, ""},
		{"body idle", "stream_idle_timeout: 0.05s", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", 408, "http.test.downstream_rq_idle_timeout"},
		{"between requests", "common_http_protocol_options: {idle_timeout: 0.05s}", "", 0, "http.test.downstream_cx_idle_timeout"},
		{"age of the connection", "common_http_protocol_options: {max_connection_duration: 0.05s}", "", 0, "http.test.downstream_cx_max_duration_reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := rig.Origin(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
			r := rig.New(t, rig.Options{HCM: bounded(c.hcm, ""), Origins: map[string]string{"a": o}})
			conn, err := net.Dial("tcp", r.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			rd := bufio.NewReader(conn)
			if c.code > 0 {
				resp, err := http.ReadResponse(rd, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != c.code || !resp.Close {
					t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
				}
			}
			if _, err := rd.ReadByte(); err != io.EOF {
				t.Errorf("the connection ended with %v", err)
			}
			if c.counter != "" {
				r.Await(c.counter, 1)
			}
		})
	}
}
