package router_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// TestEarlyResponseDoesNotWaitForTheRequest has a client that sends a part of its
// body and then waits for the response, which comes at once.
func TestEarlyResponseDoesNotWaitForTheRequest(t *testing.T) {
	o := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	r := newRig(t, toA, map[string]string{"a": o})
	c, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	start := time.Now()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 1000))
	b, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 403 ")) {
		t.Fatalf("%q %v", b, err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestRetryKeepsTheWholeBody answers 503 while the body is still being sent: the
// next try must get all of it.
func TestRetryKeepsTheWholeBody(t *testing.T) {
	var n atomic.Int32
	o := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(b), " ", bytes.Count(b, []byte("0123456789")), " ", err)
	})
	routes := strings.Replace(toA, `"cluster":"a"`, `"cluster":"a","retry_policy":{"retry_on":"5xx"}`, 1)
	r := newRig(t, routes, map[string]string{"a": o})
	body := bytes.Repeat([]byte("0123456789"), 30_000)
	for i, rd := range []io.Reader{bytes.NewReader(body), struct{ io.Reader }{bytes.NewReader(body)}} {
		n.Store(0)
		resp, err := rig.Client(t).Post("http://"+r.Addr+"/", "text/plain", rd)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(b) != "300000 30000 <nil>" {
			t.Errorf("%d: %d %q %v", i, resp.StatusCode, b, err)
		}
	}
}

// TestBodyBeyondTheBufferIsNotRetried delivers the 503 that came.
func TestBodyBeyondTheBufferIsNotRetried(t *testing.T) {
	var n atomic.Int32
	o := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "no", http.StatusServiceUnavailable)
	})
	routes := strings.Replace(toA, `"cluster":"a"`, `"cluster":"a","retry_policy":{"retry_on":"5xx"}`, 1)
	routes = strings.Replace(routes, `"domains":["*"],`, `"domains":["*"],"per_request_buffer_limit_bytes":100000,`, 1)
	r := newRig(t, routes, map[string]string{"a": o})
	resp, err := rig.Client(t).Post("http://"+r.Addr+"/", "text/plain", bytes.NewReader(make([]byte, 300_000)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || n.Load() != 1 {
		t.Errorf("%d after %d tries", resp.StatusCode, n.Load())
	}
}

// TestDeadPooledConnectionIsReplaced has an origin that closes a connection when
// the second request comes on it: a PUT goes again, whole; a POST does not.
func TestDeadPooledConnectionIsReplaced(t *testing.T) {
	for _, c := range []struct {
		method string
		size   int
		code   int
	}{{"GET", 0, 200}, {"PUT", 1000, 200}, {"PUT", 300_000, 200}, {"POST", 1000, 503}} {
		t.Run(fmt.Sprintf("%s of %d", c.method, c.size), func(t *testing.T) {
			ln := rig.Listen(t)
			done := make(chan struct{})
			go func() { defer close(done); dieOnSecond(ln) }()
			t.Cleanup(func() { ln.Close(); <-done })
			r := newRig(t, toA, map[string]string{"a": ln.Addr().String()})
			cl := rig.Client(t)
			if code, _, _ := get(t, cl, "http://"+r.Addr+"/"); code != 200 {
				t.Fatal(code)
			}
			req, _ := http.NewRequestWithContext(t.Context(), c.method, "http://"+r.Addr+"/", bytes.NewReader(make([]byte, c.size)))
			resp, err := cl.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.code || c.code == 200 && string(b) != fmt.Sprint(c.size) {
				t.Errorf("%d %q", resp.StatusCode, b)
			}
		})
	}
}

// dieOnSecond answers the first request of each connection with the length of its
// body, and closes the connection at the first byte of the second.
func dieOnSecond(ln *net.TCPListener) {
	var all []chan struct{}
	for {
		c, err := ln.AcceptTCP()
		if err != nil {
			break
		}
		done := make(chan struct{})
		all = append(all, done)
		go func() {
			defer close(done)
			defer c.Close()
			rd := newRequestReader(c)
			n, err := rd.next()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d", len(fmt.Sprint(n)), n)
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		}()
	}
	for _, d := range all {
		<-d
	}
}
