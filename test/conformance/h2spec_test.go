package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// h2specPatience is how long h2spec waits for one answer, and h2specLimit for all.
const (
	h2specPatience = "3" // seconds
	h2specLimit    = 100 * time.Second
	h2specCases    = 146 // of the version in tools/go.mod, in strict mode
)

// report is h2spec's account of itself, in the form of JUnit's.
type report struct {
	Suites []struct {
		Cases []struct {
			Package string    `xml:"package,attr"`
			Name    string    `xml:"classname,attr"`
			Failure *h2result `xml:"failure"`
			Error   *h2result `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// h2result is what was wrong.
type h2result struct {
	Text string `xml:",chardata"`
}

// TestH2spec holds a listener to h2spec's strict mode: no case fails, and none is
// left out.
func TestH2spec(t *testing.T) {
	tool := rig.Tool(t, "github.com/summerwind/h2spec/cmd/h2spec")
	body := strings.Repeat("0123456789abcdef", 64)
	origin := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, body)
	})
	for _, c := range []struct {
		name   string
		secure bool
	}{{"clear", false}, {"TLS", true}} {
		t.Run(c.name, func(t *testing.T) {
			// A bad preface in the clear would be answered as the HTTP/1 that it looks like.
			socket, codec, args := "", "HTTP2", []string{}
			if c.secure {
				socket = "\n    transport_socket: " + rig.Certificate(t, "localhost", "127.0.0.1").Downstream("alpn_protocols: [h2]")
				codec, args = "AUTO", []string{"--tls", "--insecure"}
			}
			r := rig.New(t, rig.Options{Origins: map[string]string{"a": origin}, Config: `
listeners:
- name: in
  address: {$loopback}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        $hcm
        stat_prefix: test
        codec_type: ` + codec + `
        http_filters: [$router]
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]}` + socket + "\n"})
			holdToH2spec(t, tool, r.Addr, args)
		})
	}
}

// holdToH2spec runs all of h2spec and fails for each of its cases that does.
func holdToH2spec(t *testing.T, tool, addr string, more []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.xml")
	out, runErr := rig.Run(t, h2specLimit, tool,
		append([]string{"--strict", "--host", host, "--port", port, "--timeout", h2specPatience, "--junit-report", file}, more...)...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("h2spec has no report: %v\n%s", runErr, out)
	}
	var r report
	if err := xml.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	passed, failed := 0, 0
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			name := fmt.Sprintf("%s: %s", c.Package, c.Name)
			switch {
			case c.Failure != nil:
				failed++
				t.Errorf("%s\n%s", name, strings.TrimSpace(c.Failure.Text))
			case c.Error != nil:
				failed++
				t.Errorf("%s\n%s", name, strings.TrimSpace(c.Error.Text))
			case c.Skipped != nil:
				failed++
				t.Errorf("%s: skipped", name)
			default:
				passed++
			}
		}
	}
	if passed+failed != h2specCases {
		t.Errorf("h2spec ran %d cases, not %d: %v\n%s", passed+failed, h2specCases, runErr, out)
	}
	t.Logf("h2spec: %d passed, %d failed", passed, failed)
}
