package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weirproxy/weir/proxy/admin"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/test/rig"
)

// flowsRig is a data plane with an admin interface: /ok answers, /dead has nobody, /hang waits; the listener tcp echoes.
func flowsRig(t *testing.T) (r *rig.Rig, sock string) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	origin := rig.Origin(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/hang" {
			select {
			case <-release:
			case <-q.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "hello")
	})
	echo := rig.TCPOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	r = rig.New(t, rig.Options{Config: rig.Expand(fmt.Sprintf(`
listeners:
- name: in
  address: {$loopback}
  filter_chains: [{name: web, filters: [{name: hcm, typed_config: {$hcm, stat_prefix: test, http_filters: [$router], route_config: {name: r, virtual_hosts: [{name: v, domains: ["*"], routes: [
    {match: {prefix: /dead}, name: dead, route: {cluster: dead, retry_policy: {retry_on: connect-failure, num_retries: 1}}},
    {match: {prefix: /}, name: all, route: {cluster: a}}]}]}}}]}]
- name: tcp
  address: {$loopback}
  filter_chains: [{filters: [{name: tcp, typed_config: {$tcp_proxy, stat_prefix: t, cluster: echo}}]}]
clusters:
- {name: a, type: STATIC, connect_timeout: 1s, load_assignment: %s}
- {name: dead, type: STATIC, connect_timeout: 1s, load_assignment: %s}
- {name: echo, type: STATIC, connect_timeout: 1s, load_assignment: %s}`, rig.Endpoint("a", origin), rig.Endpoint("dead", rig.DeadAddr(t)), rig.Endpoint("echo", echo)))})
	return r, serveAdmin(t, admin.New(admin.Options{Proxy: r.Proxy, Stats: r.Store}))
}

// flowsOf asks `weir flows --json`.
func flowsOf(t *testing.T, sock string, args ...string) (out []flows.Flow) {
	t.Helper()
	code, text, errs := weir(t, append([]string{"flows", "--admin", sock, "--json"}, args...)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var f flows.Flow
		if err := d.Decode(&f); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
}

// one waits for a flow that the filters take.
func one(t *testing.T, sock string, args ...string) flows.Flow {
	t.Helper()
	var got []flows.Flow
	if !rig.Eventually(func() bool {
		got = flowsOf(t, sock, args...)
		return len(got) > 0
	}) {
		t.Fatalf("no flow: %v", args)
	}
	return got[0]
}

func TestFlows(t *testing.T) {
	r, sock := flowsRig(t)
	client := rig.Client(t)
	r.Do(client, "GET", "/ok?token=secret&x", "x-request-id", "my-id", "cookie", "secret")
	r.Do(client, "GET", "/dead/1")

	f := one(t, sock, "--path", "/ok*", "--ended")
	if f.Code != 200 || f.Cluster != "a" || f.Route != "all" || f.Path != "/ok?token=*&x" || f.Sent != 5 || f.Chain != "web" || f.Listener != "in" || f.Attempts != 1 {
		t.Errorf("%+v", f)
	}
	f = one(t, sock, "--failed", "--ended")
	if f.Code != 503 || f.Cluster != "dead" || !strings.Contains(f.Flags, "UF") || f.Attempts != 2 || len(f.Tries) != 2 ||
		!strings.Contains(f.Tries[0].Why, "connection_failure") || !f.Tries[0].Host.IsValid() {
		t.Errorf("%+v", f)
	}
	for _, args := range [][]string{{}, {"--code", "5xx"}, {"--reveal"}} {
		_, text, errs := weir(t, append([]string{"flows", "--admin", sock}, args...)...)
		if strings.Contains(text+errs, "secret") {
			t.Errorf("%v shows a secret:\n%s%s", args, text, errs)
		}
	}
	code, text, _ := weir(t, "flows", "--admin", sock, "--code", "503")
	if lines := strings.Split(strings.TrimSpace(text), "\n"); code != 0 || len(lines) != 2 || !strings.Contains(lines[1], "GET ") || !strings.Contains(lines[1], "/dead/1") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if code, _, errs := weir(t, "flows", "--admin", sock, "--code", "x"); code != 1 || !strings.Contains(errs, "code:") {
		t.Errorf("exit code %d: %s", code, errs)
	}

	code, text, errs := weir(t, "explain", "--admin", sock, "--flow", f.ID)
	for _, want := range []string{"request " + f.ID, "cluster dead", "try 1", "it would go the same way", "not kept"} {
		if code != 0 || !strings.Contains(text, want) {
			t.Errorf("exit code %d, %q is not in:\n%s%s", code, want, text, errs)
		}
	}
	if code, text, errs = weir(t, "explain", "--admin", sock, "--flow", "999"); code != 1 || !strings.Contains(errs, "no flow") {
		t.Errorf("exit code %d: %s%s", code, text, errs)
	}
}

func TestLiveFlowsAndTheirEnd(t *testing.T) {
	r, sock := flowsRig(t)
	kill := func(id string) {
		t.Helper()
		if code, out, errs := weir(t, "flows", "--admin", sock, "kill", id); code != 0 || !strings.HasPrefix(out, "OK") {
			t.Fatalf("kill %s: exit code %d: %s%s", id, code, out, errs)
		}
	}
	t.Run("a connection", func(t *testing.T) {
		c := rig.Dial(t, r.AddrOf("tcp"))
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatal(err)
		}
		var b [4]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			t.Fatal(err)
		}
		f := one(t, sock, "--live", "--listener", "tcp", "--cluster", "echo")
		if f.State != "live" || f.Kind != "connection" || f.Received != 4 || f.Client.String() != c.LocalAddr().String() {
			t.Errorf("%+v", f)
		}
		kill(f.ID)
		if _, err := c.Read(b[:]); err == nil {
			t.Error("the connection goes on")
		}
		if f = one(t, sock, "--ended", "--id", f.ID); f.Details != flows.Killed || f.Received != 4 || f.Sent != 4 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("a request of HTTP/1", func(t *testing.T) {
		ended := make(chan error, 1)
		go func() {
			resp, err := rig.Client(t).Get("http://" + r.Addr + "/hang")
			if err == nil {
				_ = resp.Body.Close()
			}
			ended <- err
		}()
		f := one(t, sock, "--live", "--kind", "request", "--cluster", "a")
		if f.Method != "GET" || !f.Host.IsValid() || f.Attempts != 1 || f.Code != 0 {
			t.Errorf("%+v", f)
		}
		kill(f.ID)
		if err := <-ended; err == nil {
			t.Error("the request was answered")
		}
		if f = one(t, sock, "--ended", "--id", f.ID, "--kind", "request"); f.Details != flows.Killed {
			t.Errorf("%+v", f)
		}
	})
	t.Run("a request of HTTP/2", func(t *testing.T) {
		h := r.DialH2()
		h.Request(1, true, "GET", "h", "/hang")
		h.Request(3, true, "GET", "h", "/hang")
		f := one(t, sock, "--live", "--kind", "request", "--cluster", "a")
		id, _, _ := strings.Cut(f.ID, ".")
		one(t, sock, "--live", "--id", id+".1", "--cluster", "a")
		kill(id + ".1")
		if f = one(t, sock, "--ended", "--id", id+".1", "--kind", "request"); f.Details != flows.Killed || f.Protocol != "HTTP/2" {
			t.Errorf("%+v", f)
		}
		if f = one(t, sock, "--id", id+".3"); f.State != "live" {
			t.Errorf("the other stream: %+v", f)
		}
		if code, _, errs := weir(t, "flows", "--admin", sock, "kill", id+".1"); code != 1 || !strings.Contains(errs, "no request") {
			t.Errorf("killed again: %d, %s", code, errs)
		}
	})
	for _, id := range []string{"", "x", "1.0", "999999"} {
		if code, _, _ := weir(t, "flows", "--admin", sock, "kill", id); code != 1 {
			t.Errorf("kill %q: exit code %d", id, code)
		}
	}
}

func TestFollowFlows(t *testing.T) {
	r, sock := flowsRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- execute(ctx, []string{"flows", "--admin", sock, "--follow", "--json", "--code", "5xx"}, in, io.Discard)
		_ = in.Close()
	}()
	client := rig.Client(t)
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	// It follows from some moment on: until then it misses what passes.
	var line string
	if !rig.Eventually(func() bool {
		r.Do(client, "GET", "/ok")
		r.Do(client, "GET", "/dead")
		select {
		case line = <-lines:
			return true
		default:
			return false
		}
	}) {
		t.Fatal("nothing came")
	}
	var f flows.Flow
	if err := json.Unmarshal([]byte(line), &f); err != nil || f.Code != 503 || f.Path != "/dead" {
		t.Errorf("%v: %s", err, line)
	}
	cancel()
	for range lines { // until the end
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
