package hcm_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// asking serves an ordinary connection manager, in a chain with the given metadata.
const asking = `
listeners:
- name: in
  address: {socket_address: {address: 127.0.0.1, port_value: 0}}
  filter_chains:
  - metadata: {filter_metadata: {METADATA}}
    filters:
    - name: hcm
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: test
        use_remote_address: true
        via: weir
        always_set_request_id_in_response: true
        http_filters:
        - name: router
          typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]}
`

// literal is an origin that answers each request with the same bytes, and gives the requests as they came.
func literal(t *testing.T, response string) (addr string, requests <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, done := make(chan string, 16), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			got <- read(c, "end-of-body")
			_, _ = io.WriteString(c, response)
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String(), got
}

// read reads until the end that is given, or until there is no more.
func read(r io.Reader, end string) string {
	var all []byte
	b := make([]byte, 4096)
	for !strings.HasSuffix(string(all), end) {
		n, err := r.Read(b)
		all = append(all, b[:n]...)
		if err != nil {
			break
		}
	}
	return string(all)
}

const (
	// Fields in no usual order and case, twice, empty, and those that proxies believe or take away.
	transparentRequest = "POST /a//b/./c%2f?x=%7E HTTP/1.1\r\n" +
		"hOST: a.TEST:8080\r\nX-Envoy-Max-Retries: 3\r\nx-envoy-upstream-rq-timeout-ms: 9\r\nx-envoy-retry-on: 5xx\r\nx-envoy-upstream-rq-timeout-alt-response: 1\r\nx-b: 2\r\nX-A: 1\r\nx-b: 3\r\nX-Empty: \r\n" +
		"X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-Client-Cert: By=x\r\nX-Request-Id: mine\r\nX-Envoy-Internal: true\r\n" +
		"Via: 1.1 other\r\nContent-Length: 11\r\nUser-Agent: me/1\r\n\r\nend-of-body"
	transparentResponse = "HTTP/1.1 404 Not Found\r\nset-COOKIE: b=1\r\nServer: theirs\r\nX-Envoy-Upstream-Service-Time: 7\r\nSet-Cookie: a=2\r\n" +
		"Content-Length: 11\r\nAge: 0\r\n\r\nend-of-body"
)

// A chain that is transparent passes on every byte of a request and of its response.
func TestTransparentChainsAddNothing(t *testing.T) {
	f := func(name, metadata string, same bool) {
		t.Run(name, func(t *testing.T) {
			o, requests := literal(t, transparentResponse)
			r := rig.New(t, rig.Options{Config: strings.Replace(asking, "METADATA", metadata, 1), Origins: map[string]string{"a": o}})
			c, err := net.Dial("tcp", r.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(c, transparentRequest); err != nil {
				t.Fatal(err)
			}
			response := read(c, "end-of-body")
			request := <-requests
			if (request == transparentRequest) != same || (response == transparentResponse) != same {
				t.Errorf("the origin got\n%q, sent was\n%q;\nthe client got\n%q, sent was\n%q", request, transparentRequest, response, transparentResponse)
			}
		})
	}
	f("by default they do", "", false)
	f("transparent", "weir.http: {transparent: true}", true)
	f("not transparent", "weir.http: {transparent: false}", false)
}

// What Weir answers itself in a transparent chain has no field that names it.
func TestTransparentChainsAnswerWithoutAName(t *testing.T) {
	r := rig.New(t, rig.Options{Config: strings.Replace(strings.Replace(asking, "METADATA", "weir.http: {transparent: true}", 1), "prefix: /", "prefix: /none", 1), Origins: map[string]string{"a": "127.0.0.1:1"}})
	c, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := read(c, "\r\n\r\n"); got != "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" && got != "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n" {
		t.Errorf("%q", got)
	}
}
