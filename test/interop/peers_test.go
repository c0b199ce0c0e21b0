package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// echo answers with what it was asked: the body's hash and length, and the version.
func echo(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, _ := io.Copy(h, r.Body)
	w.Header().Set("X-Seen", fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, n))
	w.Header().Set("X-Sum", hex.EncodeToString(h.Sum(nil)))
	if r.URL.Path == "/long" {
		_, _ = w.Write(make([]byte, 4<<20))
	}
	_, _ = io.WriteString(w, "served")
}

// front serves the origin behind a listener in the clear, "clear", and one with
// TLS, "tls"; both take HTTP/1 and HTTP/2.
func front(t *testing.T, cert *rig.Cert, alpn string) *rig.Rig {
	t.Helper()
	listener := func(name, socket string) string {
		return `
- name: ` + name + `
  address: {$loopback}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        $hcm
        stat_prefix: ` + name + `
        http_filters: [$router]
        upgrade_configs: [{upgrade_type: websocket}]
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a, timeout: 0s}}]}]}` + socket + "\n"
	}
	return rig.New(t, rig.Options{
		Origins: map[string]string{"a": rig.Origin(t, echo)},
		Config:  "listeners:" + listener("clear", "") + listener("tls", "\n    transport_socket: "+cert.Downstream("alpn_protocols: ["+alpn+"]")),
	})
}

func TestCurl(t *testing.T) {
	curl := rig.Command(t, "curl")
	if v, _ := rig.Run(t, limit, curl, "--version"); !strings.Contains(v, "HTTP2") {
		t.Skip("curl is built without HTTP/2")
	}
	cert := rig.Certificate(t, "a.example", "127.0.0.1")
	r := front(t, cert, "h2, http/1.1")
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, url string
		args      []string
		version   string
		want      string
	}{
		{"1.1", "http://" + r.AddrOf("clear"), nil, "1.1", "GET / 0"},
		{"prior knowledge", "http://" + r.AddrOf("clear"), []string{"--http2-prior-knowledge"}, "2", "GET / 0"},
		{"body", "http://" + r.AddrOf("clear"), []string{"--http2-prior-knowledge", "--data-binary", "@" + body}, "2", "POST / 3145728"},
		{"HEAD", "http://" + r.AddrOf("clear"), []string{"--http2-prior-knowledge", "-I"}, "2", "HEAD / 0"},
		{"ALPN", "https://" + r.AddrOf("tls"), []string{"--cacert", cert.CertFile}, "2", "GET / 0"},
		{"ALPN, 1.1 only", "https://" + r.AddrOf("tls"), []string{"--cacert", cert.CertFile, "--http1.1"}, "1.1", "GET / 0"},
		{"TLS 1.2", "https://" + r.AddrOf("tls"), []string{"--cacert", cert.CertFile, "--tls-max", "1.2"}, "2", "GET / 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-sS", "--max-time", "20", "-o", os.DevNull, "-w", "%{http_version} %{http_code} %header{x-seen}"}, c.args...)
			out, err := rig.Run(t, limit, curl, append(args, c.url+"/")...)
			if want := c.version + " 200 " + c.want; err != nil || out != want {
				t.Errorf("%q, %v, want %q", out, err, want)
			}
		})
	}
	// Many at a time. (In the clear curl 7.88 fails at this, whoever the server is.)
	args := []string{"-sS", "--max-time", "20", "--cacert", cert.CertFile, "--parallel", "--parallel-max", "50", "-w", "%{http_code} %{size_download}\n"}
	for range 50 {
		args = append(args, "-o", os.DevNull, "https://"+r.AddrOf("tls")+"/long")
	}
	out, err := rig.Run(t, limit, curl, args...)
	if n := strings.Count(out, "200 4194310\n"); err != nil || n != 50 {
		t.Errorf("%d of 50 downloads, %v\n%s", n, err, out)
	}
	r.Await("http.clear.downstream_cx_active", 0)
	r.Await("http.tls.downstream_cx_active", 0)
}

func TestNghttp(t *testing.T) {
	nghttp, h2load := rig.Command(t, "nghttp"), rig.Command(t, "h2load")
	cert := rig.Certificate(t, "a.example", "127.0.0.1")
	r := front(t, cert, "h2")
	for _, url := range []string{"http://" + r.AddrOf("clear"), "https://" + r.AddrOf("tls")} {
		out, err := rig.Run(t, limit, nghttp, "--no-verify-peer", "-v", "--timeout=20", url+"/a", url+"/b")
		if err != nil || strings.Count(out, ":status: 200") != 2 || !strings.Contains(out, "x-seen: GET /b 0") {
			t.Errorf("%s: %v\n%s", url, err, out)
		}
		if out, err = rig.Run(t, limit, nghttp, "--no-verify-peer", "-nas", "--window-bits=8", "--connection-window-bits=8", "--timeout=20", url+"/long"); err != nil {
			t.Errorf("%s with small windows: %v\n%s", url, err, out)
		}
		out, err = rig.Run(t, limit, h2load, "-n", "2000", "-c", "10", "-m", "20", url+"/")
		if err != nil || !strings.Contains(out, "2000 succeeded, 0 failed, 0 errored") {
			t.Errorf("%s: %v\n%s", url, err, out)
		}
	}
	r.Await("http.clear.downstream_rq_active", 0)
}

func TestOpenSSL(t *testing.T) {
	openssl := rig.Command(t, "openssl")
	cert := rig.Certificate(t, "a.example")
	r := front(t, cert, "h2, http/1.1")
	client := func(args ...string) string {
		out, _ := rig.Run(t, limit, openssl, append([]string{
			"s_client", "-connect", r.AddrOf("tls"), "-servername", "a.example", "-CAfile", cert.CertFile, "-verify_return_error",
		}, args...)...)
		return out
	}
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"1.3", nil, []string{"TLSv1.3", "Verify return code: 0 (ok)"}},
		{"1.2", []string{"-tls1_2"}, []string{"TLSv1.2", "Verify return code: 0 (ok)"}},
		{"h2", []string{"-alpn", "http/1.1,h2"}, []string{"ALPN protocol: h2"}},
		{"http/1.1", []string{"-alpn", "http/1.1"}, []string{"ALPN protocol: http/1.1"}},
		{"1.1 is too old", []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, []string{"alert protocol version"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := client(c.args...)
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in\n%s", w, out)
				}
			}
		})
	}
	// A ticket of one connection resumes the next.
	ticket := filepath.Join(t.TempDir(), "ticket")
	if out := client("-tls1_2", "-sess_out", ticket); !strings.Contains(out, "New, ") {
		t.Errorf("no new session in\n%s", out)
	}
	if out := client("-tls1_2", "-sess_in", ticket); !strings.Contains(out, "Reused, ") {
		t.Errorf("the ticket is not taken in\n%s", out)
	}
}
