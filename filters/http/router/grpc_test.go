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

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirproxy/weir/test/rig"
)

// grpcRig serves gRPC by HTTP/2 on both sides: /retried and /plain go to the
// origin, with and without the retry policy.
func grpcRig(t *testing.T, origin, retryOn, cluster string) *rig.Rig {
	t.Helper()
	return rig.New(t, rig.Options{
		HCM: `
stat_prefix: test
http_filters: [$router]
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - {match: {prefix: /retried, grpc: {}}, route: {cluster: o, retry_policy: {retry_on: "` + retryOn + `", retry_back_off: {base_interval: 0.001s}}}}
    - {match: {prefix: /plain, grpc: {}}, route: {cluster: o}}
`,
		Config: "clusters:\n- name: o\n  type: STATIC\n  load_assignment: " + rig.Endpoint("o", origin) + `
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}
` + cluster,
	})
}

// called makes a call and gives its grpc-status, of the head or the trailers.
func called(t *testing.T, r *rig.Rig, c *http.Client, path string) string {
	t.Helper()
	req, err := http.NewRequest("POST", "http://"+r.Addr+path, strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("content-type", "application/grpc")
	req.Header.Set("te", "trailers")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	head, trailer := resp.Header.Get("grpc-status"), resp.Trailer.Get("grpc-status")
	return fmt.Sprintf("%d %q head=%s trailer=%s length=%d", resp.StatusCode, b, head, trailer, resp.ContentLength)
}

func TestGRPCOverHTTP2(t *testing.T) {
	var n atomic.Int32
	o := rig.OriginH2C(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := w.Header()
		h.Set("content-type", "application/grpc")
		if n.Add(1) == 1 && r.URL.Path == "/retried" {
			h.Set("grpc-status", "14") // in the head: trailers-only
			return
		}
		h.Set("trailer", "grpc-status")
		_, _ = io.WriteString(w, "hi")
		h.Set("grpc-status", "5")
	})
	r := grpcRig(t, o, "unavailable", "")
	c := rig.ClientH2C(t)
	for path, want := range map[string]string{
		"/retried": `200 "hi" head= trailer=5 length=2`,
		"/plain":   `200 "hi" head= trailer=5 length=2`,
		"/none":    `200 "" head=12 trailer= length=0`,
	} {
		n.Store(0)
		if got := called(t, r, c, path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := r.Stat("cluster.o.upstream_rq_retry"); got != 1 {
		t.Errorf("%d retries", got)
	}
}

// TestOutlierDetectionKnowsGRPC: a grpc-status in the head counts as the HTTP
// status that it stands for.
func TestOutlierDetectionKnowsGRPC(t *testing.T) {
	o := rig.OriginH2C(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("content-type", "application/grpc")
		w.Header().Set("grpc-status", r.URL.Path[len("/plain/"):])
	})
	r := grpcRig(t, o, "unavailable", "  outlier_detection: {consecutive_5xx: 2, enforcing_consecutive_5xx: 0}\n")
	c := rig.ClientH2C(t)
	for _, st := range []string{"3", "5", "16", "7", "14", "0", "14"} { // never twice in a row what stands for 5xx
		called(t, r, c, "/plain/"+st)
	}
	const detected = "cluster.o.outlier_detection.ejections_detected_consecutive_5xx"
	if got := r.Stat(detected); got != 0 {
		t.Errorf("%d ejections without two failures in a row", got)
	}
	called(t, r, c, "/plain/13") // after a 14
	if got := r.Stat(detected); got != 1 {
		t.Errorf("%d ejections after two failures", got)
	}
}

// refusing is an HTTP/2 server that refuses the streams whose number in the order of
// their coming, from 1, is in no; others are answered at once.
func refusing(t *testing.T, no ...int32) (addr string, seen *atomic.Int32) {
	t.Helper()
	seen = new(atomic.Int32)
	return rig.TCPOrigin(t, func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings()
		var ok bytes.Buffer
		e := hpack.NewEncoder(&ok)
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch fr := fr.(type) {
			case *http2.SettingsFrame:
				if !fr.IsAck() {
					_ = f.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				n := seen.Add(1)
				refuse := false
				for _, x := range no {
					refuse = refuse || x == n
				}
				if refuse {
					_ = f.WriteRSTStream(fr.StreamID, http2.ErrCodeRefusedStream)
					continue
				}
				ok.Reset()
				_ = e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
				_ = e.WriteField(hpack.HeaderField{Name: "grpc-status", Value: "0"})
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: fr.StreamID, BlockFragment: ok.Bytes(), EndHeaders: true, EndStream: true})
			}
		}
	}), seen
}

func TestRefusedStreams(t *testing.T) {
	const fine, failed = `200 "" head=0 trailer= length=0`, `200 "" head=14 trailer= length=0`
	for _, c := range []struct {
		name, retryOn string
		no            []int32
		paths, want   []string
		seen          int32
	}{
		{"the policy asks for it", "refused-stream", []int32{1}, []string{"/retried"}, []string{fine}, 2},
		{"the policy asks for something else", "connect-failure", []int32{1}, []string{"/retried"}, []string{failed}, 1},
		{"reset is more", "reset", []int32{1}, []string{"/retried"}, []string{fine}, 2},
		{"a used connection", "refused-stream", []int32{2}, []string{"/plain", "/plain"}, []string{fine, fine}, 3},
		{"a used connection, once only", "refused-stream", []int32{2, 3}, []string{"/plain", "/plain"}, []string{fine, failed}, 3},
		{"a new connection", "refused-stream", []int32{1}, []string{"/plain"}, []string{failed}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, seen := refusing(t, c.no...)
			r := grpcRig(t, addr, c.retryOn, "")
			cl := rig.ClientH2C(t)
			for i, p := range c.paths {
				if got := called(t, r, cl, p); got != c.want[i] {
					t.Errorf("%s: %s, want %s", p, got, c.want[i])
				}
			}
			if seen.Load() != c.seen {
				t.Errorf("the server saw %d streams, want %d", seen.Load(), c.seen)
			}
			if got := r.Stat("cluster.o.upstream_rq_rx_reset"); got != int64(len(c.no)) {
				t.Errorf("%d resets counted, want %d", got, len(c.no))
			}
		})
	}
}
