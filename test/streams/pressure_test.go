package streams

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

const (
	huge = 1 << 30 // of which nobody has more than a little at any time
	some = 24 << 20
	// held is how much more memory the process may use while a sender is stopped: the
	// windows of both sides, which are 64 KiB here, the clients' and origins' of the
	// standard library, 4 MiB at the most, and what comes and goes.
	held = 16 << 20
	// onTheWay is how much of a huge body may have left its sender: what is held, and
	// what the system buffers for four sockets.
	onTheWay = 128 << 20

	narrow = "{initial_stream_window_size: 65535, initial_connection_window_size: 65535}"
)

// A body is bytes that a seed decides, made as they are read.
type body struct {
	r    io.Reader
	n    atomic.Int64 // bytes that were read
	left int64
}

func newBody(n int64) *body {
	return &body{r: rand.NewChaCha8([32]byte{7}), left: n}
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.n.Add(int64(n))
	return n, err
}

// sumOf is what newBody(n) sums to.
func sumOf(n int64) string {
	h := sha256.New()
	_, _ = io.Copy(h, newBody(n))
	return hex.EncodeToString(h.Sum(nil))
}

// stalled waits until nothing was read of a body for a while, or all was.
func (b *body) stalled(t *testing.T) int64 {
	t.Helper()
	const quiet = 250 * time.Millisecond
	last, since := int64(0), time.Now()
	if !rig.Eventually(func() bool {
		n := b.n.Load()
		if n != last {
			last, since = n, time.Now()
		}
		return n > 0 && time.Since(since) >= quiet
	}) {
		t.Error("the sender never stops")
	}
	return last
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pressed runs a rig with narrow windows before an origin of a version.
func pressed(t *testing.T, client, server int, h http.HandlerFunc) (*rig.Rig, *http.Client) {
	t.Helper()
	start, c := rig.Origin, rig.Client(t)
	protocol := "{http_protocol_options: {}}"
	if server == 2 {
		start, protocol = rig.OriginH2C, "{http2_protocol_options: "+narrow+"}"
	}
	if client == 2 {
		c = rig.ClientH2C(t)
	}
	return rig.New(t, rig.Options{
		HCM: `
stat_prefix: test
http_filters: [$router]
http2_protocol_options: ` + narrow + `
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o, timeout: 0s}}]}]}
`,
		Config: "clusters:\n- name: o\n  load_assignment: " + rig.Endpoint("o", start(t, h)) +
			"\n  typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: " + protocol + "}}",
	}), c
}

// TestAStalledClientStopsTheOrigin: the origin of a body that nobody reads stops
// sending, whatever the body's length, and goes on when it is read.
func TestAStalledClientStopsTheOrigin(t *testing.T) {
	want := sumOf(some)
	combinations(t, func(t *testing.T, client, server int) {
		bodies := make(chan *body, 1)
		over := make(chan error, 1)
		r, c := pressed(t, client, server, func(w http.ResponseWriter, r *http.Request) {
			var n int64
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
			b := newBody(n)
			bodies <- b
			_, err := io.Copy(w, b)
			over <- err
		})
		before := heap()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp := ask(t, ctx, c, "GET", fmt.Sprintf("http://%s/%d", r.Addr, huge), nil)
		sent := (<-bodies).stalled(t)
		grown := heap() - before
		t.Logf("%d KiB sent, %d KiB held", sent>>10, grown>>10)
		if sent > onTheWay || grown > held {
			t.Errorf("%d bytes were sent, memory grew by %d", sent, grown)
		}
		cancel()
		resp.Body.Close()
		if err := <-over; err == nil {
			t.Error("the origin sent all")
		}
		resp = ask(t, t.Context(), c, "GET", fmt.Sprintf("http://%s/%d", r.Addr, some), nil)
		(<-bodies).stalled(t)
		h := sha256.New()
		n, err := io.Copy(h, resp.Body)
		resp.Body.Close()
		if got := hex.EncodeToString(h.Sum(nil)); err != nil || n != some || got != want {
			t.Errorf("%d bytes %s, %v", n, got, err)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		r.Await("http.test.downstream_rq_active", 0)
		r.Await("cluster.o.upstream_rq_active", 0)
	})
}

// TestAStalledOriginStopsTheClient is the other way.
func TestAStalledOriginStopsTheClient(t *testing.T) {
	want := sumOf(some)
	combinations(t, func(t *testing.T, client, server int) {
		came, resume := make(chan bool, 1), make(chan bool)
		over := make(chan error, 1)
		r, c := pressed(t, client, server, func(w http.ResponseWriter, r *http.Request) {
			came <- true
			<-resume
			h := sha256.New()
			_, err := io.Copy(h, r.Body)
			_, _ = io.WriteString(w, hex.EncodeToString(h.Sum(nil)))
			over <- err
		})
		before := heap()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := newBody(huge)
		failed := make(chan error, 1)
		go func() {
			req, err := http.NewRequestWithContext(ctx, "POST", "http://"+r.Addr+"/", b)
			if err == nil {
				var resp *http.Response
				if resp, err = c.Do(req); err == nil {
					resp.Body.Close()
				}
			}
			failed <- err
		}()
		<-came
		sent := b.stalled(t)
		grown := heap() - before
		t.Logf("%d KiB sent, %d KiB held", sent>>10, grown>>10)
		if sent > onTheWay || grown > held {
			t.Errorf("%d bytes were sent, memory grew by %d", sent, grown)
		}
		cancel()
		if err := <-failed; err == nil {
			t.Error("the client was answered")
		}
		resume <- true
		if err := <-over; err == nil {
			t.Error("the origin got all")
		}
		b = newBody(some)
		go func() {
			<-came
			b.stalled(t)
			resume <- true
		}()
		resp := ask(t, t.Context(), c, "POST", "http://"+r.Addr+"/", b)
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s, %v", got, err)
		}
		<-over
		r.Await("http.test.downstream_rq_active", 0)
		r.Await("cluster.o.upstream_rq_active", 0)
	})
}

func ask(t *testing.T, ctx context.Context, c *http.Client, method, url string, b io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, b)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
