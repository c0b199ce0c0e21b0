package dropin

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestAdmin asks both every admin endpoint of Envoy's, after the same traffic.
func TestAdmin(t *testing.T) {
	b, err := os.ReadFile("testdata/admin.txt")
	if err != nil {
		t.Fatal(err)
	}
	var probes []string
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			probes = append(probes, l)
		}
	}
	compare(t, "admin", func(t *testing.T, bin string, weir bool) ([]string, map[string]seen) {
		dir := folder(t, origin(t))
		args := []string{"-c", dir + "/bootstrap.yaml", "--concurrency", "1", "--drain-time-s", "1", "-l", "error"}
		if !weir {
			args = append(args, "--use-dynamic-base-id")
		}
		p := start(t, bin, dir+"/admin", args...)
		traffic(t, p)
		all, times := map[string]seen{}, map[string]int{}
		var ids []string
		for _, probe := range probes {
			method, target, _ := strings.Cut(probe, " ")
			status, h, body, err := p.ask(method, target)
			if err != nil {
				t.Errorf("%s: %v", probe, err)
				continue
			}
			id := probe
			if times[probe]++; times[probe] > 1 {
				id += fmt.Sprintf(" #%d", times[probe])
			}
			ids = append(ids, id)
			all[id] = shapeOf(status, h, strings.ReplaceAll(body, dir, "DIR"))
		}
		all["exit"] = seen{fmt.Sprint(p.wait(t))}
		return append(ids, "exit"), all
	})
}

// origin answers on a port of its own.
func origin(t *testing.T) int {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// traffic sends requests of every kind through the listeners.
func traffic(t *testing.T, p *process) {
	t.Helper()
	at := map[string]string{}
	p.until(t, "listen", func() bool {
		for l := range strings.Lines(p.get(t, "/listeners")) {
			name, addr, _ := strings.Cut(strings.TrimSpace(l), "::")
			at[name] = addr
		}
		return at["plain"] != ""
	})
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: 10 * time.Second}
	for _, path := range []string{"/", "/", "/", "/dynamic", "/none", "/gone", "/slow"} {
		resp, err := c.Get("http://" + at["web"] + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for _, name := range []string{"plain", "secure"} {
		conn, err := net.Dial("tcp", at[name])
		if err != nil {
			t.Fatal(err)
		}
		if name == "secure" {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		conn.Close()
	}
	c.CloseIdleConnections()
	p.until(t, "count what Weir copies every half second", func() bool {
		return strings.Contains(p.get(t, "/stats?usedonly&filter=cds.update_success"), "update_success") &&
			strings.Contains(p.get(t, "/stats?usedonly&filter=initialization_time"), "initialization_time")
	})
	p.until(t, "lose its connections", func() bool {
		for l := range strings.Lines(p.get(t, `/stats?filter=(http|tcp).*\.downstream_cx_active$`)) {
			name, n, _ := strings.Cut(strings.TrimSpace(l), ": ")
			if !strings.HasPrefix(name, "http.admin.") && n != "0" {
				return false
			}
		}
		return true
	})
}
