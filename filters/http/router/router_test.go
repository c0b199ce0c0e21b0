package router_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

const toA = `{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"a"}}]}]}`

func TestForwards(t *testing.T) {
	o := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %d", r.Method, r.URL, r.Host, len(b)))
		w.Header()["X-MiXed"] = []string{"kept"}
		_, _ = w.Write(b)
	})
	r := newRig(t, toA, map[string]string{"a": o})
	c := rig.Client(t)
	for i := range 3 {
		code, h, body := get(t, c, "http://"+r.Addr+"/x?y=1")
		if code != 200 || body != "" || h.Get("X-Seen") != "GET /x?y=1 "+r.Addr+" 0" {
			t.Fatalf("%d: %d %v %q", i, code, h, body)
		}
		if h.Get("Server") != "weir" || h.Get("x-envoy-upstream-service-time") == "" {
			t.Errorf("head: %v", h)
		}
	}
	for _, n := range []int{1, 100, 20_000, 65_536, 65_537, 1 << 20, 10 << 20} {
		want := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		for _, chunked := range []bool{false, true} {
			var rd io.Reader = bytes.NewReader(want)
			if chunked {
				rd = struct{ io.Reader }{rd}
			}
			resp, err := c.Post("http://"+r.Addr+"/p", "application/octet-stream", rd)
			if err != nil {
				t.Fatalf("%d chunked=%v: %v", n, chunked, err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d chunked=%v: got %d bytes, %v", n, chunked, len(got), err)
			}
		}
	}
}

func TestRetriesUntilItSucceeds(t *testing.T) {
	var n atomic.Int32
	o := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if n.Add(1) < 3 {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "%s %s", r.Header.Get("x-envoy-attempt-count"), b)
	})
	routes := strings.Replace(toA, `"cluster":"a"`, `"cluster":"a","retry_policy":{"retry_on":"5xx","num_retries":3,"retry_back_off":{"base_interval":"0.001s"}}`, 1)
	routes = strings.Replace(routes, `"name":"v",`, `"name":"v","include_request_attempt_count":true,`, 1)
	r := newRig(t, routes, map[string]string{"a": o})
	resp, err := rig.Client(t).Post("http://"+r.Addr+"/", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(b) != "3 hello" {
		t.Fatalf("%d %q", resp.StatusCode, b)
	}
}

func TestLocalReplies(t *testing.T) {
	slow := make(chan struct{})
	o := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	})
	defer close(slow)
	routes := `{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
	 {"match":{"path":"/none"},"route":{"cluster":"missing"}},
	 {"match":{"path":"/slow"},"route":{"cluster":"a","timeout":"0.05s"}},
	 {"match":{"path":"/dead"},"route":{"cluster":"dead"}},
	 {"match":{"path":"/away"},"redirect":{"path_redirect":"/there"}},
	 {"match":{"path":"/direct"},"direct_response":{"status":418,"body":{"inline_string":"teapot"}}}]}]}`
	r := newRig(t, routes, map[string]string{"a": o, "dead": rig.DeadAddr(t)})
	c := rig.Client(t)
	f := func(path string, code int, body string) {
		t.Helper()
		got, h, b := get(t, c, "http://"+r.Addr+path)
		if got != code || b != body {
			t.Errorf("%s: %d %q %v", path, got, b, h)
		}
	}
	f("/none", 503, "")
	f("/slow", 504, "upstream request timeout")
	f("/dead", 503, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure")
	f("/away", 301, "")
	f("/direct", 418, "teapot")
	f("/nowhere", 404, "")
}

// TestLocalRepliesToGRPC: 200, and in grpc-status what stands for the status.
func TestLocalRepliesToGRPC(t *testing.T) {
	o := rig.Origin(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	routes := `{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
	 {"match":{"path":"/slow"},"route":{"cluster":"a","timeout":"0.02s"}},
	 {"match":{"path":"/timed"},"route":{"cluster":"a","timeout":"0.06s"}},
	 {"match":{"path":"/long"},"route":{"cluster":"a","max_stream_duration":{"grpc_timeout_header_max":"0s"}}},
	 {"match":{"path":"/dead"},"route":{"cluster":"dead"}},
	 {"match":{"path":"/own"},"direct_response":{"status":403},"response_headers_to_add":[{"header":{"key":"grpc-status","value":"5"}}]},
	 {"match":{"path":"/direct"},"direct_response":{"status":401,"body":{"inline_string":"100 %"}}}]}]}`
	r := newRig(t, routes, map[string]string{"a": o, "dead": rig.DeadAddr(t)})
	c := rig.Client(t)
	for _, x := range []struct{ method, path, status, message string }{
		{"POST", "/nowhere", "12", ""},
		{"POST", "/slow", "14", "upstream request timeout"},
		{"POST", "/long", "4", "downstream duration timeout"},
		{"POST", "/dead", "14", "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"},
		{"POST", "/direct", "16", "100 %25"},
		{"HEAD", "/direct", "16", ""},
		{"POST", "/own", "5", ""},
		{"POST", "/timed", "4", "upstream request timeout"}, // longer than the client's own deadline
	} {
		deadline := "10S"
		if x.status == "4" {
			deadline = "50m"
		}
		a := r.Do(c, x.method, x.path, "content-type", "application/grpc+proto", "grpc-timeout", deadline)
		if a.Code != 200 || a.Body != "" || a.Header.Get("content-type") != "application/grpc" || a.Header.Get("content-length") != "0" ||
			a.Header.Get("grpc-status") != x.status || a.Header.Get("grpc-message") != x.message {
			t.Errorf("%s %s: %d %q %v", x.method, x.path, a.Code, a.Body, a.Header)
		}
	}
	if a := r.Do(c, "POST", "/direct", "content-type", "application/grpc-web"); a.Code != 401 || a.Body != "100 %" {
		t.Errorf("gRPC-Web: %d %q", a.Code, a.Body)
	}
}
