package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// plain is a listener that clients talk to by its own address, 10.91.1.1:8080.
const plain = `
static_resources:
  listeners:
  - name: plain
    address: {socket_address: {address: 0.0.0.0, port_value: 8080}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          $hcm
          stat_prefix: plain
          http_filters: [$router]
          access_log: [{name: file, typed_config: {$file_log, path: $dir/access.log}}]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: v1, timeout: 30s}}]}]}
  clusters:
  - name: v1
    type: STATIC
    connect_timeout: 1s
    load_assignment: {cluster_name: v1, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: 8081}}}}]}]}
`

// gateway is the plain listener's address.
func (w *world) gateway() string { return w.top.GatewayAddr4().String() + ":8080" }

func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	w.serveHTTP(w.at4("8081"), func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
		_, _ = io.WriteString(rw, "whole")
	})
	p := w.start(plain, "--drain-strategy", "gradual", "--drain-time-s", "20")
	idle := w.dial(w.gateway())
	idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	idle.response("GET")
	busy := w.dial(w.gateway())
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived

	p.signal(unix.SIGTERM)
	if idle.ended() {
		t.Error("the idle connection was reset")
	}
	if body, err := w.admin("/ready"); err == nil && body != "DRAINING\n" {
		t.Errorf("state %q", body)
	}
	w.until("no new connections are accepted", func() error {
		l, err := w.tryDial(w.gateway())
		if err == nil {
			l.Close()
			return errors.New("accepted")
		}
		return nil
	})
	select {
	case <-p.done:
		t.Fatal("ended with a request under way")
	default:
	}
	close(release)
	if r := busy.response("GET"); r.code != 200 || r.body != "whole" || !r.closes {
		t.Errorf("%d %q, connection: close: %t", r.code, r.body, r.closes)
	}
	busy.ended()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Connections that are intercepted live by the rules: these stay until they have
// ended, while new connections go to the server itself.
func TestSIGTERMDrainsInterceptedConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("80"), named("direct"))
	w.serveTCP(w.at4("7001"), func(c net.Conn) { _, _ = io.Copy(c, c) })
	arrived, release := make(chan struct{}), make(chan struct{})
	var n atomic.Int32 // more may be accepted while the signal is on its way
	w.serveHTTP(w.at4("8081"), func(rw http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			close(arrived)
			<-release
		}
		_, _ = io.WriteString(rw, "whole")
	})
	before := w.network()
	p := w.start(toV1, append(takeAll, "--drain-strategy", "gradual", "--drain-time-s", "20")...)
	opaque := w.dial(w.at4("7001"))
	opaque.send("one")
	opaque.expect("one")
	busy := w.dial(w.at4("80"))
	busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	p.signal(unix.SIGTERM)
	w.until("new connections go to the server itself", func() error {
		r, err := get(w.client(), "http://"+w.at4("80")+"/")
		if err == nil && r.origin != "direct" {
			err = fmt.Errorf("answered by %q", r.origin)
		}
		return err
	})
	opaque.send("two")
	opaque.expect("two")
	close(release)
	if r := busy.response("GET"); r.code != 200 || r.body != "whole" || !r.closes {
		t.Errorf("%d %q, connection: close: %t", r.code, r.body, r.closes)
	}
	busy.ended()
	if err := opaque.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	opaque.ended()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.restored(before)
}

func TestSIGHUPReopensLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("8081"), named("v1"))
	p := w.start(plain)
	path := filepath.Join(w.dir, "access.log")
	logged := func(path, what string) {
		t.Helper()
		w.until(what+" is in "+filepath.Base(path), func() error {
			b, err := os.ReadFile(path)
			if err == nil && !strings.Contains(string(b), what) {
				err = fmt.Errorf("has %q", b)
			}
			return err
		})
	}
	w.mustGet(w.client(), "http://"+w.gateway()+"/first")
	logged(path, "GET /first HTTP/1.1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	p.signal(unix.SIGHUP)
	w.until("the file is there again", func() error {
		_, err := os.Stat(path)
		return err
	})
	w.mustGet(w.client(), "http://"+w.gateway()+"/second")
	logged(path, "GET /second HTTP/1.1")
	if b, err := os.ReadFile(path + ".1"); err != nil || strings.Contains(string(b), "/second") {
		t.Errorf("the old file has %q, %v", b, err)
	}
}

func TestBadBootstrapStartsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.network()
	bad := filepath.Join(w.dir, "bad.yaml")
	for name, tc := range map[string]struct {
		slips *strings.Replacer
		want  []string
	}{
		"names": {
			strings.NewReplacer("connect_timeout", "conect_timeout", "filter_chains", "filter_chain"),
			[]string{"bad.yaml:6:5", "filter_chains", "bad.yaml:18:5", `did you mean "connect_timeout"?`},
		},
		"values": {
			strings.NewReplacer("8080}", "808080}", "connect_timeout: 1s", "connect_timeout: -1s"),
			[]string{"bad.yaml:5:", "port_value", "bad.yaml:18:22", "connect_timeout"},
		},
		"meaning": {
			strings.NewReplacer("prefix: /}", "safe_regex: {regex: '('}}"),
			[]string{"bad.yaml:14:", "regex"},
		},
	} {
		if err := os.WriteFile(bad, []byte(w.expand(tc.slips.Replace(plain))), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := w.run(append([]string{"-c", bad}, takeAll...)...)
		if code != 1 {
			t.Errorf("%s: exit code %d, want 1", name, code)
		}
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", name, want, out)
			}
		}
	}
	w.restored(before)
}

func TestAddressInUseEndsTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(plain)
	before := w.network()
	other := filepath.Join(w.dir, "other.yaml")
	text := strings.Replace(w.expand(plain), "- name: plain\n", "- name: plain\n    enable_reuse_port: false\n", 1)
	if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := w.run(append([]string{"-c", other}, takeAll...)...)
	if code != 1 || !strings.Contains(out, "0.0.0.0:8080") || !strings.Contains(out, "address already in use") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	w.restored(before)
}

func TestValidateInEnvoysWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := filepath.Join(w.dir, "good.yaml")
	if err := os.WriteFile(good, []byte(w.expand(plain)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--mode", "validate", "-c", good}, {"--mode=validate", "--config-path=" + good}, {"validate", "-c", good}} {
		if out, code := w.run(args...); code != 0 || !strings.Contains(out, "configuration '"+good+"' OK\n") {
			t.Errorf("%q: exit code %d\n%s", args, code, out)
		}
	}
	for _, args := range [][]string{{"-c", good + ".none"}, {"--mode", "sing", "-c", good}, {"--no-such-flag"}, {"-l", "loud", "-c", good}} {
		if out, code := w.run(args...); code != 1 || strings.Count(strings.TrimSpace(out), "\n") > 2 {
			t.Errorf("%q: exit code %d, want 1 and a line\n%s", args, code, out)
		}
	}
}
