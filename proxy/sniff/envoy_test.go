package sniff

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var envoy = flag.String("envoy", "", "an Envoy program to ask again, for -rewrite of testdata/envoy.txt")

// differences are the openings that are meant to come out otherwise than in
// Envoy, each with its reason.
var differences = map[string]string{
	"hello openssl-dot":                    "the final dot is dropped",
	`sni "."`:                              "empty label",
	`sni ".a.test"`:                        "empty label",
	`sni "a..b"`:                           "empty label",
	"tls ech cut":                          "a server without ECH accepts it",
	"tls legacy 0x0200":                    "a server that reads supported_versions accepts it; Envoy closes",
	"tls legacy 0x0300":                    "as above",
	"tls legacy 0x1234":                    "as above",
	"tls alert first":                      "Envoy waits for the hello, and closes",
	"tls alert between":                    "as above",
	"tls ssl2":                             "RFC 6176",
	`line "GET / HTTP/1.1\x00\r\n"`:        "NUL is no space: RFC 9112 §3",
	`line "GET /\x00 HTTP/1.1\r\n"`:        "as above",
	`line "GET /\x01 HTTP/1.1\r\n"`:        "as above",
	`line "CONNECT a\"b HTTP/1.1\r\n"`:     "left to the codec",
	`line "GET h://a@@b HTTP/1.1\r\n"`:     "left to the codec",
	`line "GET http://a\"b/ HTTP/1.1\r\n"`: "left to the codec",
}

// TestLikeEnvoy compares chain and server name with what a real Envoy with
// tls_inspector and http_inspector chose, as recorded in testdata/envoy.txt.
func TestLikeEnvoy(t *testing.T) {
	const golden = "testdata/envoy.txt"
	all := openings(t)
	if *envoy != "" && *rewrite {
		askEnvoy(t, all, golden)
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, answer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		want[name] = answer
	}
	var differ []string
	for _, o := range all {
		got := chain(o.wire)
		switch reason := differences[o.name]; {
		case want[o.name] == "":
			t.Errorf("%s: not recorded", o.name)
		case got != want[o.name] && reason == "":
			t.Errorf("%s: %s, Envoy chose %s", o.name, got, want[o.name])
		case got == want[o.name] && reason != "":
			t.Errorf("%s: no difference any more", o.name)
		case reason != "":
			differ = append(differ, o.name)
		}
	}
	t.Logf("%d of %d like Envoy", len(all)-len(differ), len(all))
	if d := cmp.Diff(len(differences), len(differ)); d != "" {
		t.Errorf("differences without an opening (-listed +met):\n%s", d)
	}
}

// chain is the filter chain of envoyConfig and the server name that come out of
// the recognisers, as the listener filters use them.
func chain(wire []byte) string {
	var s TLS
	if st := s.Feed(wire); st == Match {
		name := string(s.AppendServerName(nil))
		if name == "" {
			name = "-"
		}
		switch {
		case s.OffersALPN("h2"):
			return "tls_h2 " + name
		case s.OffersALPN("http/1.1"):
			return "tls_h1 " + name
		}
		return "tls " + name
	}
	var h HTTP
	if st, proto := h.Feed(wire); st == Match {
		return string(proto) + " -"
	}
	return "raw -"
}

const envoyConfig = `
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: LISTENER}}
    listener_filters_timeout: 1s
    listener_filters:
    - name: tls
      typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector, enable_ja3_fingerprinting: true, enable_ja4_fingerprinting: true}
    - name: http
      typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector}
    access_log:
    - name: f
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
        path: LOG
        log_format: {text_format_source: {inline_string: "%DOWNSTREAM_REMOTE_PORT% %FILTER_CHAIN_NAME% %REQUESTED_SERVER_NAME%\t%TLS_JA3_FINGERPRINT% %TLS_JA4_FINGERPRINT%\n"}}
    filter_chains:
    - name: tls
      filter_chain_match: {transport_protocol: tls}
      filters: &f
      - name: d
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config, response: {inline_string: "x"}}
    - {name: tls_h2, filter_chain_match: {transport_protocol: tls, application_protocols: [h2]}, filters: *f}
    - {name: tls_h1, filter_chain_match: {transport_protocol: tls, application_protocols: [http/1.1]}, filters: *f}
    - {name: http/1.0, filter_chain_match: {transport_protocol: raw_buffer, application_protocols: [http/1.0]}, filters: *f}
    - {name: http/1.1, filter_chain_match: {transport_protocol: raw_buffer, application_protocols: [http/1.1]}, filters: *f}
    - {name: h2c, filter_chain_match: {transport_protocol: raw_buffer, application_protocols: [h2c]}, filters: *f}
    - {name: raw, filter_chain_match: {transport_protocol: raw_buffer}, filters: *f}
`

// askEnvoy runs Envoy, opens a connection per opening and writes what its
// access log says of each.
func askEnvoy(t *testing.T, all []opening, golden string) {
	dir := t.TempDir()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	log := filepath.Join(dir, "log")
	config := strings.NewReplacer("LISTENER", addr[strings.LastIndexByte(addr, ':')+1:], "LOG", log).Replace(envoyConfig)
	if err := os.WriteFile(filepath.Join(dir, "envoy.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, *envoy, "-c", filepath.Join(dir, "envoy.yaml"), "--concurrency", "1", "-l", "error", "--disable-hot-restart")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it writes its log out
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{}
	for _, o := range all {
		port, err := send(addr, o.wire)
		if err != nil {
			t.Fatalf("%s: %v", o.name, err)
		}
		ports[port] = o.name
	}
	cancel()
	_ = cmd.Wait()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	answers, prints := map[string]string{}, map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		port, answer, _ := strings.Cut(s.Text(), " ")
		answers[ports[port]], prints[ports[port]], _ = strings.Cut(answer, "\t")
	}
	var b, fp strings.Builder
	for _, o := range all {
		fmt.Fprintf(&b, "%s\t%s\n", o.name, answers[o.name])
		if strings.HasPrefix(answers[o.name], "tls") {
			fmt.Fprintf(&fp, "%s\t%s\n", o.name, prints[o.name])
		}
	}
	for file, text := range map[string]string{golden: b.String(), fingerprints: fp.String()} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// send opens a connection, retrying while Envoy starts, sends wire and waits
// until Envoy is through with it. It returns the local port.
func send(addr string, wire []byte) (string, error) {
	var conn net.Conn
	err := io.ErrNoProgress
	for start := time.Now(); err != nil && time.Since(start) < 20*time.Second; {
		conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write(wire); err != nil {
		return "", err
	}
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.Copy(io.Discard, conn)
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	return port, err
}
