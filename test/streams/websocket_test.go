package streams

import (
	"fmt"
	"testing"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/test/rig"
)

const websockets = `
upgrade_configs: [{upgrade_type: websocket}]
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o, timeout: 0.2s}}]}]}
`

// combinations runs f for each version of client and origin.
func combinations(t *testing.T, f func(t *testing.T, client, origin int)) {
	for _, c := range []int{1, 2} {
		for _, o := range []int{1, 2} {
			t.Run(fmt.Sprintf("HTTP/%d to HTTP/%d", c, o), func(t *testing.T) { f(t, c, o) })
		}
	}
}

// talk opens a WebSocket to its end.
func talk(t *testing.T, client, server int, hcm string) (*rig.Rig, pipe, pipe) {
	t.Helper()
	addr, came := origin(t, server, extended)
	r := through(t, server, addr, hcm)
	type reply struct {
		p      pipe
		answer string
	}
	replied := make(chan reply, 1)
	go func() {
		p, a := dial(t, r, client)
		replied <- reply{p, a}
	}()
	a := <-came
	want := "GET a.test /chat websocket"
	if server == 2 {
		want = "CONNECT a.test /chat websocket"
	}
	if a.line != want || (a.key == "") != (server == 2) || client == 1 && server == 1 && a.key != key {
		t.Errorf("asked for %q with key %q", a.line, a.key)
	}
	a.accept()
	if err := a.send("early"); err != nil { // with the answer, or just behind it
		t.Error(err)
	}
	got := <-replied
	want = "101 websocket " + fields.Accept(key)
	if client == 2 {
		want = "200  "
	}
	if got.answer != want {
		t.Fatalf("answered %q, want %q", got.answer, want)
	}
	if s := got.p.recv(5); s != "early" {
		t.Errorf("%q came first", s)
	}
	r.Await("http.test.downstream_cx_upgrades_active", 1)
	r.Await("http.test.downstream_cx_upgrades_total", 1)
	return r, got.p, a.pipe
}

func (p *plain) String() string  { return "plain" }
func (p *framed) String() string { return "framed" }

// over waits until nothing is left.
func over(t *testing.T, r *rig.Rig) {
	t.Helper()
	r.Await("http.test.downstream_cx_upgrades_active", 0)
	r.Await("http.test.downstream_rq_active", 0)
	r.Await("cluster.o.upstream_rq_active", 0)
}

// TestWebSocketEndsInBothOrders: bytes go both ways, and the end of one direction
// leaves the other open.
func TestWebSocketEndsInBothOrders(t *testing.T) {
	for _, first := range []string{"client", "origin"} {
		t.Run(first, func(t *testing.T) {
			combinations(t, func(t *testing.T, client, server int) {
				r, c, o := talk(t, client, server, websockets)
				if first == "origin" {
					c, o = o, c
				}
				_ = c.send("hello")
				if s := o.recv(5); s != "hello" {
					t.Errorf("%q arrived", s)
				}
				c.end()
				if s := o.ended(); s != "end" {
					t.Errorf("the half-close arrived as %q", s)
				}
				_ = o.send("still here")
				if s := c.recv(10); s != "still here" {
					t.Errorf("%q came back", s)
				}
				o.end()
				if s := c.ended(); s != "end" {
					t.Errorf("the second half-close arrived as %q", s)
				}
				over(t, r)
			})
		})
	}
}

// TestWebSocketResets: RST_STREAM is TCP's RST, and the other way round.
func TestWebSocketResets(t *testing.T) {
	for _, first := range []string{"client", "origin"} {
		t.Run(first, func(t *testing.T) {
			combinations(t, func(t *testing.T, client, server int) {
				r, c, o := talk(t, client, server, websockets)
				if first == "origin" {
					c, o = o, c
				}
				c.reset()
				if s := o.ended(); s != "reset" {
					t.Errorf("the reset arrived as %q", s)
				}
				if f, ok := o.(*framed); ok {
					want := http2.ErrCodeCancel // as a client
					if first == "origin" {
						want = http2.ErrCodeConnect
					}
					if f.code != want {
						t.Errorf("reset with %v, want %v", f.code, want)
					}
				}
				over(t, r)
			})
		})
	}
}

// TestWebSocketIdles: stream_idle_timeout ends it, not the route's timeout.
func TestWebSocketIdles(t *testing.T) {
	combinations(t, func(t *testing.T, client, server int) {
		r, c, o := talk(t, client, server, "stream_idle_timeout: 0.5s\n"+websockets)
		for _, p := range []pipe{c, o} {
			if s := p.ended(); s != "end" {
				t.Errorf("ended by %q", s)
			}
		}
		over(t, r)
		r.Await("http.test.downstream_rq_idle_timeout", 1)
	})
}

// TestWebSocketRefused: a no is passed on as it is; a success that is no yes would
// be one to a client of HTTP/2.
func TestWebSocketRefused(t *testing.T) {
	for _, code := range []int{403, 200} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			combinations(t, func(t *testing.T, client, server int) {
				if server == 2 && code == 200 {
					return // a yes
				}
				addr, came := origin(t, server, extended)
				r := through(t, server, addr, websockets)
				go func() {
					a := <-came
					if server == 1 {
						a.answer(code, "content-length", "2")
					} else {
						a.answer(code)
					}
					_ = a.send("no")
					a.end()
				}()
				p, got := dial(t, r, client)
				want := fmt.Sprintf("%d no", code)
				if client == 2 {
					want = fmt.Sprintf("%d  ", code)
					if code == 200 {
						want = "502  "
					}
				}
				if got != want {
					t.Errorf("answered %q, want %q", got, want)
				}
				if client == 2 && code == 403 && p.recv(2) != "no" {
					t.Error("the body is lost")
				}
				over(t, r)
				r.Await("http.test.downstream_cx_upgrades_total", 0)
			})
		})
	}
}

// TestWebSocketProof: what an HTTP/1 server proves is looked at when the key is ours.
func TestWebSocketProof(t *testing.T) {
	addr, came := origin(t, 1)
	r := through(t, 1, addr, websockets)
	go func() {
		a := <-came
		a.answer(101, "upgrade", "websocket", "sec-websocket-accept", fields.Accept(key))
	}()
	if _, got := dial(t, r, 2); got != "502  " {
		t.Errorf("answered %q to a proof of another key", got)
	}
	over(t, r)
}

// TestExtendedConnectUnsupported: a server of HTTP/2 that does not take upgrades is
// not asked for one, whenever its SETTINGS come.
func TestExtendedConnectUnsupported(t *testing.T) {
	for _, client := range []int{1, 2} {
		addr, came := origin(t, 2)
		r := through(t, 2, addr, websockets)
		_, got := dial(t, r, client)
		want := "502 upstream server does not take upgrades over HTTP/2"
		if client == 2 {
			want = "502  "
		}
		if got != want {
			t.Errorf("answered %q", got)
		}
		select {
		case a := <-came:
			t.Errorf("asked for %q", a.line)
		default:
		}
		over(t, r)
	}
}

// TestUpgradeWithABody: over HTTP/2 there is no such thing; the server of an ordinary
// request ignores the Upgrade, as it may.
func TestUpgradeWithABody(t *testing.T) {
	addr, came := origin(t, 2, extended)
	r := through(t, 2, addr, websockets)
	c := r.Dial()
	fmt.Fprintf(c, "POST /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: %s\r\nContent-Length: 4\r\n\r\nbody", key)
	go func() {
		a := <-came
		if a.line != "POST a.test /chat " {
			t.Errorf("asked for %q", a.line)
		}
		if s := a.recv(4); s != "body" || a.ended() != "end" {
			t.Errorf("%q came", s)
		}
		a.answer(200)
		_ = a.send("fine")
		a.end()
	}()
	if _, got := answered(t, c, "POST"); got != "200 fine" {
		t.Errorf("answered %q", got)
	}
	over(t, r)
}

// TestUpgradeNotConfigured: without upgrade_configs both versions are refused.
func TestUpgradeNotConfigured(t *testing.T) {
	for client, want := range map[int]string{1: "403 ", 2: "403  "} {
		r := through(t, 1, rig.DeadAddr(t), `route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: o}}]}]}`)
		if _, got := dial(t, r, client); got != want {
			t.Errorf("HTTP/%d: answered %q", client, got)
		}
		r.Await("http.test.downstream_rq_active", 0)
	}
}
