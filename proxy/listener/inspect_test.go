package listener_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/info"
)

func TestChainsAreSelectedByWhatIsSniffed(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(`
name: in
address: {$loopback}
listener_filters: [$tls_inspector, $http_inspector]
filter_chains:
- name: web
  filter_chain_match: {application_protocols: ["http/1.1", "http/1.0"]}
  filters: [{name: s, typed_config: {$say: web}}]
- name: tls
  filter_chain_match: {transport_protocol: tls}
  filters: [{name: s, typed_config: {$say: tls}}]
- name: h2
  filter_chain_match: {application_protocols: [h2c]}
  filters: [{name: s, typed_config: {$say: h2}}]
default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}
`)
	for _, c := range []struct{ send, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", `web chain="web"`},
		{"GET / HTTP/1.0\r\n\r\n", `web chain="web"`},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", `h2 chain="h2"`},
		{"*1\r\n$4\r\nPING\r\n", `rest chain="rest"`},
	} {
		if got := x.ask(c.send); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q: %s, want %s", c.send, got, c.want)
		}
	}
}

// hello is a ClientHello of Go for a.example, with ALPN h2 and http/1.1.
func hello(t testing.TB, name string) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		defer a.Close()
		_ = tls.Client(a, &tls.Config{ServerName: name, NextProtos: []string{"h2", "http/1.1"}}).Handshake()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(b, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

const byName = `
name: in
address: {$loopback}
listener_filters: [$tls_inspector, $http_inspector]
listener_filters_timeout: 10s
access_log: [$log]
filter_chains:
- name: a
  filter_chain_match: {server_names: [a.example]}
  filters: [{name: s, typed_config: {$say: a}}]
- name: under
  filter_chain_match: {server_names: ["*.example"], application_protocols: [h2]}
  filters: [{name: s, typed_config: {$say: under}}]
`

func TestAHelloMayComeByteByByte(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(byName)
	for name, want := range map[string]string{"A.example": `a chain="a" sni="a.example"`, "b.example": `under chain="under" sni="b.example"`} {
		h := hello(t, name)
		c := x.dial() // without Nagle's algorithm each write is a segment
		for i := range h {
			if _, err := c.Write(h[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
		got := line(t, c)
		if !strings.HasPrefix(got, want) || !strings.Contains(got, `transport="tls" alpn=["h2" "http/1.1"]`) || !strings.HasSuffix(got, fmt.Sprintf("in=%d", len(h))) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, want := range map[string]int64{"tls_found": 2, "sni_found": 2, "alpn_found": 2, "tls_not_found": 0} {
		if got := r.stat("tls_inspector." + name); got != want {
			t.Errorf("tls_inspector.%s is %d, want %d", name, got, want)
		}
	}
}

func TestNoChainIsExplained(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(byName)
	for range 3 {
		c := x.dial()
		if _, err := c.Write(hello(t, "other.test")); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got := x.counter("no_filter_chain_match"); got != 3 {
		t.Errorf("no_filter_chain_match is %d", got)
	}
	lines := r.log.FilterMessage("no filter chain takes the connection").All()
	if len(lines) != 1 {
		t.Fatalf("%d log lines, want 1", len(lines))
	}
	m := lines[0].ContextMap()
	for k, want := range map[string]any{
		"server_name": "other.test", "transport_protocol": "tls", "application_protocols": "h2,http/1.1",
		"nearest": `"a"`, "criterion": "server_names", "wanted": "a.example", "got": "other.test", "destination": x.addr.String(),
	} {
		if fmt.Sprint(m[k]) != want {
			t.Errorf("%s is %v, want %v", k, m[k], want)
		}
	}
	until(t, "they are logged", func() bool { _, n := r.logs.last(); return n == 3 })
	if i, _ := r.logs.last(); i.Flags != info.NoRoute || i.Details != "filter_chain_not_found" {
		t.Errorf("flags %s, details %s", i.Flags, i.Details)
	}
}

const sniffing = `
name: in
address: {$loopback}
listener_filters: [$tls_inspector, $http_inspector]
access_log: [$log]
default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}
`

func TestASilentClient(t *testing.T) {
	t.Run("goes on as opaque", func(t *testing.T) {
		r := newRig(t, nil)
		x := r.run(sniffing + "listener_filters_timeout: 0.03s\ncontinue_on_listener_filters_timeout: true\n")
		start := time.Now()
		if got := line(t, x.dial()); !strings.Contains(got, `chain="rest" sni="" transport="" alpn=[] note="timeout"`) {
			t.Error(got)
		}
		if d := time.Since(start); d < 30*time.Millisecond {
			t.Errorf("after %v", d)
		}
		if got := x.counter("downstream_pre_cx_timeout"); got != 1 {
			t.Errorf("downstream_pre_cx_timeout is %d", got)
		}
		// The deadline is gone: the connection lives on.
		c := x.dial()
		line(t, c)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Error(rest, err)
		}
	})
	t.Run("is closed", func(t *testing.T) {
		r := newRig(t, nil)
		x := r.run(sniffing + "listener_filters_timeout: 0.03s\n")
		if got, err := x.all(); len(got) > 0 || err != nil {
			t.Error(got, err)
		}
		until(t, "it is logged", func() bool { _, n := r.logs.last(); return n == 1 })
		if i, _ := r.logs.last(); i.Details != "listener_filters_timeout" || x.counter("downstream_pre_cx_timeout") != 1 {
			t.Error(i.Details)
		}
	})
	t.Run("has not sent all of it", func(t *testing.T) {
		r := newRig(t, nil)
		x := r.run(sniffing + "listener_filters_timeout: 0.03s\ncontinue_on_listener_filters_timeout: true\n")
		if got := x.ask("GET / HT"); !strings.Contains(got, `note="timeout"`) || !strings.HasSuffix(got, "in=8") {
			t.Error(got)
		}
	})
	t.Run("has finished", func(t *testing.T) {
		r := newRig(t, nil)
		x := r.run(sniffing)
		c := x.dial()
		if _, err := io.WriteString(c, "GE"); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := line(t, c); !strings.Contains(got, `note="closed"`) || !strings.HasSuffix(got, "in=2") {
			t.Error(got)
		}
		if got := x.counter("downstream_listener_filter_remote_close"); got != 1 {
			t.Errorf("downstream_listener_filter_remote_close is %d", got)
		}
	})
}

func TestBytesThatSettleItAreNotWaitedBeyond(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(sniffing)
	if got := x.ask("\x00"); !strings.Contains(got, `note=""`) || !strings.HasSuffix(got, "in=1") {
		t.Error(got)
	}
	if got := x.counter("downstream_pre_cx_active"); got != 0 {
		t.Errorf("downstream_pre_cx_active is %d", got)
	}
}

func TestProxyProtocol(t *testing.T) {
	const text = `
name: in
address: {$loopback}
listener_filters: [{name: p, typed_config: {$proxy_protocol OPTIONS}}, $http_inspector]
listener_filters_timeout: 0.03s
continue_on_listener_filters_timeout: true
default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}
`
	const v1 = "PROXY TCP4 192.0.2.7 198.51.100.9 1234 443\r\n"
	f := func(name, options, send, want, stat string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			x := r.run(strings.Replace(text, "OPTIONS", options, 1))
			if got := x.ask(send); !strings.Contains(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
			if stat != "" && r.stat("proxy_proto."+stat) != 1 {
				t.Errorf("%s is %d, want 1", stat, r.stat("proxy_proto."+stat))
			}
		})
	}
	f("v1", "", v1+"GET / HTTP/1.1\r\n", `alpn=["http/1.1"] note="" dest=198.51.100.9:443 source=192.0.2.7:1234 in=16`, "versions.v1.found")
	f("v1 disallowed", ", disallowed_versions: [V1]", v1, "<", "versions.v1.disallowed")
	f("v2 local", "", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00GET / HTTP/1.0\r\n", `alpn=["http/1.0"]`, "versions.v2.found")
	f("broken", "", "PROXY TCP4 nonsense\r\n", "<", "versions.v1.error")
	f("none", "", "GET / HTTP/1.1\r\n", "<", "not_found_disallowed")
	f("none, allowed", ", allow_requests_without_proxy_protocol: true", "GET / HTTP/1.1\r\n", `in=16`, "not_found_allowed")
	f("cut", "", "PROXY TCP4 192.", "<", "")
	f("cut, allowed", ", allow_requests_without_proxy_protocol: true", "PROXY TCP4 192.", `note="timeout"`, "")
}

func TestServerFirstPortsAreNotWaitedFor(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(strings.Replace(sniffing, "listener_filters: [", "listener_filters_timeout: 3600s\nlistener_filters: [{name: p, typed_config: {$proxy_protocol}}, ", 1))
	start := time.Now()
	if got := x.ask("PROXY TCP4 192.0.2.7 198.51.100.9 1234 25\r\n"); !strings.Contains(got, `note="server_first"`) {
		t.Error(got)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("after %v", d)
	}
	if got := x.counter("downstream_pre_cx_server_first"); got < 1 {
		t.Errorf("downstream_pre_cx_server_first is %d", got)
	}
}
