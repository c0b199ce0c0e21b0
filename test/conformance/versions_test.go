package conformance

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// A version is a way of speaking HTTP on one side of Weir.
type version struct {
	name          string
	http2, secure bool
}

var versions = []version{{"h1", false, false}, {"h1 over TLS", false, true}, {"h2c", true, false}, {"h2 over TLS", true, true}}

// client speaks the version.
func (v version) client(t *testing.T, cert *rig.Cert) *http.Client {
	switch {
	case v.secure:
		return rig.ClientTLS(t, cert, "a.example", v.http2)
	case v.http2:
		return rig.ClientH2C(t)
	}
	return rig.Client(t)
}

func (v version) url(addr, path string) string {
	if v.secure {
		return "https://" + addr + path
	}
	return "http://" + addr + path
}

// origin speaks the version.
func (v version) origin(t *testing.T, cert *rig.Cert, h http.HandlerFunc) string {
	switch {
	case v.secure:
		return rig.OriginTLS(t, cert, v.http2, h)
	case v.http2:
		return rig.OriginH2C(t, h)
	}
	return rig.Origin(t, h)
}

// cluster is one that speaks it.
func (v version) cluster(cert *rig.Cert, addr string) string {
	alpn, options := "http/1.1", "http_protocol_options: {}"
	if v.http2 {
		alpn, options = "h2", "http2_protocol_options: {}"
	}
	socket := ""
	if v.secure {
		socket = "\n  transport_socket: " + cert.Upstream("a.example", "alpn_protocols: ["+alpn+"]")
	}
	return `
clusters:
- name: a
  connect_timeout: 1s
  load_assignment: ` + rig.Endpoint("a", addr) + `
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {` + options + `}}` + socket + "\n"
}

// listener takes all that clients of either version say.
func listener(cert *rig.Cert, secure bool) string {
	// Go's HTTP/1 server sometimes closes a connection after a full-duplex handler that
	// it has promised to keep: what is posted on that next is tried again.
	const retry = `retry_policy: {retry_on: reset, num_retries: 3}`
	socket := ""
	if secure {
		socket = "\n    transport_socket: " + cert.Downstream("alpn_protocols: [h2, http/1.1]")
	}
	return `
listeners:
- name: in
  address: {$loopback}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        $hcm
        stat_prefix: test
        http_filters: [$router]
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a, timeout: 0s, ` + retry + `}}]}]}` + socket + "\n"
}

// between is Weir between two versions.
type between struct {
	*rig.Rig
	client  *http.Client
	front   version
	started chan struct{} // an aborted request has arrived
	ended   chan error    // what became of its context
	written atomic.Int64  // bytes of /flood
}

func (b *between) url(path string) string { return b.front.url(b.Addr, path) }

// serve is the origin.
func (b *between) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/echo":
		_ = http.NewResponseController(w).EnableFullDuplex() // an HTTP/1 server of Go's reads no more once it writes
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Seen", fmt.Sprint(r.Method, " ", r.ProtoMajor, " ", r.TLS != nil, " ", r.Host))
		h := sha256.New()
		_, _ = io.Copy(io.MultiWriter(w, h), r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%x", h.Sum(nil)))
	case "/trailers":
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer.Get("X-End"))
	case "/hints":
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "late")
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
	case "/heads":
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("X-Long", strings.Repeat("v", 20_000))
		w.Header().Set("X-Got", fmt.Sprint(len(r.Header.Get("X-Long")), r.Header["Cookie"], r.Header["X-Two"]))
	case "/hang":
		close(b.started)
		<-r.Context().Done()
		b.ended <- r.Context().Err()
	case "/break":
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/flood":
		piece := make([]byte, 64<<10)
		for range 1 << 30 / len(piece) {
			n, err := w.Write(piece)
			b.written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// TestVersions has every version on either side of Weir, and says of each pair what
// HTTP promises of it.
func TestVersions(t *testing.T) {
	cert := rig.Certificate(t, "a.example")
	for _, front := range versions {
		for _, back := range versions {
			t.Run(front.name+" to "+back.name, func(t *testing.T) {
				b := &between{front: front, client: front.client(t, cert), started: make(chan struct{}), ended: make(chan error, 1)}
				addr := back.origin(t, cert, b.serve)
				b.Rig = rig.New(t, rig.Options{Config: listener(cert, front.secure) + back.cluster(cert, addr)})
				t.Run("bodies", func(t *testing.T) { b.bodies(t, back) })
				t.Run("many at a time", b.many)
				t.Run("heads", b.heads)
				t.Run("trailers of requests", b.trailers)
				t.Run("early hints", b.hints)
				t.Run("no body", b.noBody)
				t.Run("broken response", b.broken)
				t.Run("abandoned request", b.abandoned)
				t.Run("stalled reader", b.stalled)
				b.client.CloseIdleConnections()
				b.Await("http.test.downstream_rq_active", 0)
				b.Await("cluster.a.upstream_rq_active", 0)
			})
		}
	}
}

func (b *between) bodies(t *testing.T, back version) {
	major := 1
	if back.http2 {
		major = 2
	}
	for _, n := range []int{0, 1, 16 << 10, 64<<10 + 1, 3 << 20} {
		want := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		for _, known := range []bool{true, false} {
			var rd io.Reader = strings.NewReader(want)
			if !known {
				rd = struct{ io.Reader }{rd}
			}
			resp, err := b.client.Post(b.url("/echo"), "text/plain", rd)
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(got) != want {
				t.Fatalf("%d of %d bytes, %v", len(got), n, err)
			}
			if seen := fmt.Sprint("POST ", major, " ", back.secure, " ", b.Addr); resp.Header.Get("X-Seen") != seen {
				t.Errorf("the origin saw %q, want %q", resp.Header.Get("X-Seen"), seen)
			}
			if n <= 1 && back.http2 && resp.ProtoMajor == 1 {
				continue // Go's server gives it a Content-Length, with which HTTP/1 has no place for trailers
			}
			if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(want))); resp.Trailer.Get("X-Sum") != sum {
				t.Errorf("%d bytes: trailer %q, want %q", n, resp.Trailer.Get("X-Sum"), sum)
			}
		}
	}
}

func (b *between) many(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			want := strings.Repeat(fmt.Sprint(i, " "), 20_000)
			resp, err := b.client.Post(b.url("/echo"), "text/plain", strings.NewReader(want))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != want {
				t.Errorf("%d: %d of %d bytes, %v", i, len(got), len(want), err)
			}
		})
	}
	wg.Wait()
}

func (b *between) heads(t *testing.T) {
	req, err := http.NewRequest("GET", b.url("/heads"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("v", 20_000))
	req.Header["X-Two"] = []string{"1", "2"}
	req.Header.Set("Cookie", "a=1; b=2")
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got, want := resp.Header.Get("X-Got"), "20000 [a=1; b=2] [1 2]"; got != want {
		t.Errorf("the origin got %q, want %q", got, want)
	}
	if c := resp.Header["Set-Cookie"]; len(c) != 2 || len(resp.Header.Get("X-Long")) != 20_000 {
		t.Errorf("got %q and %d bytes", c, len(resp.Header.Get("X-Long")))
	}
}

func (b *between) trailers(t *testing.T) {
	req, err := http.NewRequest("POST", b.url("/trailers"), struct{ io.Reader }{strings.NewReader("body")})
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-End": {"done"}}
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "done" {
		t.Errorf("the origin got the trailer %q, %v", got, err)
	}
}

func (b *between) hints(t *testing.T) {
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, " ", h.Get("Link")))
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, "GET", b.url("/hints"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "late" || len(hints) != 1 || hints[0] != "103 </a.css>; rel=preload" {
		t.Errorf("%q after %q, %v", got, hints, err)
	}
}

func (b *between) noBody(t *testing.T) {
	resp, err := b.client.Head(b.url("/echo"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
	if resp, err = b.client.Get(b.url("/nothing")); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 204 {
		t.Errorf("%d, want 204", resp.StatusCode)
	}
}

// broken: what stops in the middle must not look whole.
func (b *between) broken(t *testing.T) {
	resp, err := b.client.Get(b.url("/break"))
	if err != nil {
		return // it ended before its head was seen
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q looks whole", got)
	}
}

// abandoned: the origin learns that nobody waits any more.
func (b *between) abandoned(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, "GET", b.url("/hang"), nil)
		if err == nil {
			var resp *http.Response
			if resp, err = b.client.Do(req); err == nil {
				resp.Body.Close()
			}
		}
		done <- err
	}()
	<-b.started
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	select {
	case <-b.ended:
	case <-timeout.C:
		t.Error("the origin still works for nobody")
	}
}

// stalled: an origin that sends a gigabyte to a client that does not read is
// stopped by flow control, long before it is through.
func (b *between) stalled(t *testing.T) {
	const most = 96 << 20 // the windows of both sides and the buffers of four sockets
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", b.url("/flood"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// It stands when nothing was written for a quarter of a second.
	last, since := int64(-1), time.Now()
	rig.Eventually(func() bool {
		if n := b.written.Load(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 250*time.Millisecond
	})
	if last > most {
		t.Errorf("%d MiB were taken of the origin for a client that reads nothing", last>>20)
	}
	t.Logf("the origin was stopped after %d KiB", last>>10)
	n, err := io.CopyN(io.Discard, resp.Body, 256<<20)
	if err != nil {
		t.Errorf("%d bytes once it reads, %v", n, err)
	}
}
