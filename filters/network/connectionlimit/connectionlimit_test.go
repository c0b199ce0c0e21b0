package connectionlimit_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limited has a chain with a connection limit before an echo server, and an access
// log of the listener.
func limited(t *testing.T, limit string) *rig.Rig {
	t.Helper()
	return rig.New(t, rig.Options{
		Origins: map[string]string{"a": rig.TCPOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) })},
		Config: `
listeners:
- name: in
  address: {$loopback}
  filter_chains:
  - filters:
    - {name: limit, typed_config: {$connection_limit, stat_prefix: l, ` + limit + `}}
    - {name: tcp, typed_config: {$tcp_proxy, stat_prefix: t, cluster: a}}
`,
	})
}

// echoes tells whether a connection is served.
func echoes(c net.Conn) bool {
	b := make([]byte, 2)
	if _, err := io.WriteString(c, "hi"); err != nil {
		return false
	}
	_, err := io.ReadFull(c, b)
	return err == nil && string(b) == "hi"
}

func TestLimit(t *testing.T) {
	r := limited(t, "max_connections: 2")
	a, b := r.Dial(), r.Dial()
	if !echoes(a) || !echoes(b) {
		t.Fatal("not served within the limit")
	}
	if echoes(r.Dial()) {
		t.Error("served beyond the limit")
	}
	r.Await("connection_limit.l.limited_connections", 1)
	r.Await("connection_limit.l.active_connections", 2)
	// The place is given back by whatever end: a close, a reset.
	a.Close()
	r.Await("connection_limit.l.active_connections", 1)
	if !echoes(r.Dial()) {
		t.Error("a place that was given back is not taken")
	}
	_ = b.SetLinger(0)
	b.Close()
	r.Await("connection_limit.l.active_connections", 1)
	if !echoes(r.Dial()) {
		t.Error("a place that was given back is not taken")
	}
	if n := r.Stat("tcp.t.downstream_cx_total"); n != 4 {
		t.Errorf("%d connections reached tcp_proxy", n)
	}
}

// TestDelay: a refused connection is held, counts meanwhile, and hears nothing.
func TestDelay(t *testing.T) {
	r := limited(t, "max_connections: 1, delay: 0.2s")
	a := r.Dial()
	if !echoes(a) {
		t.Fatal("not served within the limit")
	}
	start := time.Now()
	b := r.Dial()
	if _, err := io.WriteString(b, "hi"); err != nil {
		t.Fatal(err)
	}
	r.Await("connection_limit.l.active_connections", 2)
	if rest, _ := io.ReadAll(b); len(rest) > 0 {
		t.Errorf("got %q", rest)
	}
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("closed after %v", d)
	}
	r.Await("connection_limit.l.active_connections", 1)
}

// TestHeldConnectionsEnd: a client that goes frees its place at once, and so does a
// drain.
func TestHeldConnectionsEnd(t *testing.T) {
	r := limited(t, "max_connections: 1, delay: 3600s")
	if !echoes(r.Dial()) {
		t.Fatal("not served within the limit")
	}
	b := r.Dial()
	r.Await("connection_limit.l.active_connections", 2)
	b.Close()
	r.Await("connection_limit.l.active_connections", 1)
	c := r.Dial()
	r.Await("connection_limit.l.active_connections", 2)
	r.Drain()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestSwitchedOff: connections that come meanwhile are counted, for the runtime may switch the limit on before they end.
func TestSwitchedOff(t *testing.T) {
	r := limited(t, "max_connections: 1, runtime_enabled: {default_value: false, runtime_key: k}")
	for range 3 {
		if !echoes(r.Dial()) {
			t.Error("not served")
		}
	}
	r.Await("connection_limit.l.active_connections", 3)
	r.SetRuntime("k", "true")
	if echoes(r.Dial()) {
		t.Error("served beyond the limit, which was switched on")
	}
	r.SetRuntime("k", "false")
	if !echoes(r.Dial()) {
		t.Error("not served")
	}
}

// TestRefusedBeforeTheHandshake: what is too much must not cost a handshake.
func TestRefusedBeforeTheHandshake(t *testing.T) {
	cert := rig.Certificate(t, "a.example")
	r := rig.New(t, rig.Options{Config: `
listeners:
- name: in
  address: {$loopback}
  filter_chains:
  - transport_socket: ` + cert.Downstream("") + `
    filters:
    - {name: limit, typed_config: {$connection_limit, stat_prefix: l, max_connections: 1, delay: 3600s}}
    - {name: say, typed_config: {$direct_response, response: {inline_string: hello}}}
`})
	held := r.Dial() // says nothing: the handshake waits
	r.Await("connection_limit.l.active_connections", 1)
	c := tls.Client(r.Dial(), cert.Client("a.example"))
	ended := make(chan error, 1)
	go func() { ended <- c.Handshake() }()
	r.Await("connection_limit.l.limited_connections", 1)
	select {
	case err := <-ended:
		t.Errorf("the handshake came to %v", err)
	default:
	}
	c.NetConn().Close()
	<-ended
	held.Close()
	r.Await("connection_limit.l.active_connections", 0)
	c = tls.Client(r.Dial(), cert.Client("a.example"))
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"stat_prefix: l":                                 "max_connections",
		"stat_prefix: l, max_connections: 0":             "max_connections",
		"max_connections: 1":                             "stat_prefix",
		"stat_prefix: l, max_connections: 1, delay: -1s": "delay",
		"stat_prefix: l, max_connections: 1, runtime_enabled: {runtime_key: k}": "default_value",
	} {
		err := rig.Check(rig.Options{Config: `
listeners:
- name: in
  address: {$loopback}
  filter_chains:
  - filters:
    - {name: limit, typed_config: {$connection_limit, ` + text + `}}
    - {name: tcp, typed_config: {$tcp_proxy, stat_prefix: t, cluster: a}}
`})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
