package listener_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/listener/speakers"
)

// racing is a listener that takes the original destination from a PROXY header, as interception would give it: what
// is said first goes to "web" or "tls", and a client that says nothing to its destination.
const racing = `
name: in
address: {$loopback}
listener_filters_timeout: 15s
listener_filters: [{name: p, typed_config: {$proxy_protocol}}, $tls_inspector, $http_inspector]
access_log: [$log]
filter_chains:
- name: web
  filter_chain_match: {application_protocols: ["http/1.1"]}
  filters: [{name: s, typed_config: {$say: web}}]
- name: tls
  filter_chain_match: {server_names: [here.test]}
  filters: [{name: t, typed_config: {$tcp, cluster: original}}]
default_filter_chain: {name: rest, filters: [{name: t, typed_config: {$tcp, cluster: original}}]}
`

// header is a PROXY header with the destination.
func header(t testing.TB, dest string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(dest)
	if err != nil {
		t.Fatal(err)
	}
	return "PROXY TCP4 127.0.0.1 " + host + " 1234 " + port + "\r\n"
}

// server counts its connections and says a greeting, unless it is "", and then sends back what it gets.
func server(t testing.TB, greeting string) (addr string, conns *atomic.Int64) {
	conns = new(atomic.Int64)
	return origin(t, func(c *net.TCPConn) {
		conns.Add(1)
		_, _ = io.WriteString(c, greeting)
		echo(c)
	}), conns
}

func newRacing(t testing.TB, more string) *running {
	t.Helper()
	r := newRig(t, map[string]string{"original": "original"})
	r.o.Speakers = speakers.New(10, time.Hour)
	return r.run(racing + more)
}

func (x *running) say(c net.Conn, what string) {
	x.r.t.Helper()
	if _, err := io.WriteString(c, what); err != nil {
		x.r.t.Fatal(err)
	}
}

func TestAServerThatSpeaksFirstIsHeard(t *testing.T) {
	x := newRacing(t, "")
	addr, conns := server(t, "220 mail.test ESMTP\n")
	for i := range 2 { // not known, and known
		c := x.dial()
		x.say(c, header(t, addr))
		if got := line(t, c); got != "220 mail.test ESMTP" {
			t.Fatal(got)
		}
		x.say(c, "EHLO client.test\n")
		if got := line(t, c); got != "EHLO client.test" {
			t.Error(got)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		until(t, "it is logged", func() bool { _, n := x.r.logs.last(); return n == i+1 })
		in, _ := x.r.logs.last()
		if in.SniffNote != "server_first" || in.FirstSpeaker != "server" || in.ServerProtocol != "smtp" || in.FilterChain != "rest" || in.UpstreamCluster != "original" {
			t.Errorf("%s %s %s %s %s", in.SniffNote, in.FirstSpeaker, in.ServerProtocol, in.FilterChain, in.UpstreamCluster)
		}
		if in.BytesReceived != 17 || in.BytesSent != 20+17 {
			t.Errorf("%d and %d bytes", in.BytesReceived, in.BytesSent)
		}
		if conns.Load() != int64(i+1) {
			t.Errorf("%d connections to the server", conns.Load())
		}
		if l := x.r.o.Speakers.List(time.Now()); len(l) != 1 || l[0].Address.String() != addr || l[0].Protocol != "smtp" || l[0].Times != uint64(i+1) {
			t.Errorf("%+v", l)
		}
	}
	for name, want := range map[string]int64{"downstream_pre_cx_ahead": 2, "downstream_pre_cx_ahead_unused": 0, "downstream_pre_cx_server_first": 2, "downstream_pre_cx_timeout": 0} {
		if got := x.counter(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if got := x.r.stat("cluster.original.upstream_cx_active"); got != 0 {
		t.Errorf("%d upstream connections are left", got)
	}
}

// slowly lets the destination be connected to before the client speaks: it waits for that.
func (x *running) slowly(t testing.TB, addr string, conns *atomic.Int64) *net.TCPConn {
	t.Helper()
	n := conns.Load()
	c := x.dial()
	x.say(c, header(t, addr))
	until(t, "the destination is connected to", func() bool { return conns.Load() == n+1 })
	return c
}

func TestAClientThatSpeaksFirstIsSniffed(t *testing.T) {
	addr, conns := server(t, "")
	f := func(name, first, want string, unused int64) {
		t.Run(name, func(t *testing.T) {
			x := newRacing(t, "metadata: {filter_metadata: {weir.sniffing: {server_first: {delay: 0s}}}}\n")
			c := x.slowly(t, addr, conns)
			n := conns.Load()
			x.say(c, first)
			if got := line(t, c); !strings.HasPrefix(got, want) {
				t.Error(got)
			}
			c.Close()
			until(t, "it is logged", func() bool { _, n := x.r.logs.last(); return n == 1 })
			if in, _ := x.r.logs.last(); in.FirstSpeaker != "client" || in.ServerProtocol != "" {
				t.Errorf("%q, %q", in.FirstSpeaker, in.ServerProtocol)
			}
			if got := x.counter("downstream_pre_cx_ahead_unused"); got != unused {
				t.Errorf("downstream_pre_cx_ahead_unused is %d, want %d", got, unused)
			}
			if conns.Load() != n {
				t.Error("a second connection to the server")
			}
			if got := x.r.stat("cluster.original.upstream_cx_active"); got != 0 {
				t.Errorf("%d upstream connections are left", got)
			}
			if l := x.r.o.Speakers.List(time.Now()); len(l) != 0 {
				t.Errorf("learned %+v", l)
			}
		})
	}
	f("opaque: the connection is used", "EHLO x\n", "EHLO x", 0)
	f("another chain to the same place: it is used", string(hello(t, "here.test"))+"\n", string(hello(t, "here.test")[:5]), 0)
	f("HTTP: it is closed", "GET / HTTP/1.1\r\n", `web chain="web"`, 1)
}

func TestTheClientHasTheWordFirst(t *testing.T) {
	x := newRacing(t, "")
	addr, conns := server(t, "")
	c := x.dial()
	x.say(c, header(t, addr)+"GET / HTTP/1.1\r\n")
	if got := line(t, c); !strings.HasPrefix(got, "web ") {
		t.Error(got)
	}
	if conns.Load() != 0 || x.counter("downstream_pre_cx_ahead") != 0 {
		t.Error("the destination was connected to")
	}
}

func TestTheDestinationIsNotConnectedTo(t *testing.T) {
	addr, conns := server(t, "220 mail.test\n")
	f := func(name, old, new, more string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]string{"original": "original", "fixed": addr})
			text := strings.Replace(racing, "listener_filters_timeout: 15s", "listener_filters_timeout: 0.1s", 1)
			if old != "" {
				text = strings.Replace(text, old, new, 1)
			}
			x := r.run(text + more)
			c := x.dial()
			x.say(c, header(t, addr))
			if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if conns.Load() != 0 || x.counter("downstream_pre_cx_timeout") != 1 {
				t.Errorf("%d connections", conns.Load())
			}
		})
	}
	const at = "metadata: {filter_metadata: {weir.sniffing: {server_first: {delay: 0s}}}}\n"
	f("when it is off", "", "", "metadata: {filter_metadata: {weir.sniffing: {server_first: {enabled: false}}}}\n")
	f("when a fixed cluster serves", "name: rest, filters: [{name: t, typed_config: {$tcp, cluster: original}}]", "name: rest, filters: [{name: t, typed_config: {$tcp, cluster: fixed}}]", at)
	f("when one of several clusters may serve", "name: rest, filters: [{name: t, typed_config: {$tcp, cluster: original}}]",
		"name: rest, filters: [{name: t, typed_config: {$tcp, weighted_clusters: {clusters: [{name: original, weight: 1}, {name: fixed, weight: 1}]}}}]", at)
	f("when no chain takes a silent client", "default_filter_chain: {name: rest, filters: [{name: t, typed_config: {$tcp, cluster: original}}]}", "", at)
	f("when a listener filter to come may change where it goes", "$http_inspector]", "$http_inspector, $original_src]", at)
}

func TestADestinationThatRefusesIsNoReasonToStopSniffing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	ln.Close()
	x := newRacing(t, "metadata: {filter_metadata: {weir.sniffing: {server_first: {delay: 0s}}}}\n")
	c := x.dial()
	x.say(c, header(t, nobody))
	until(t, "it was tried", func() bool { return x.r.stat("cluster.original.upstream_cx_connect_fail") == 1 })
	x.say(c, "GET / HTTP/1.1\r\n")
	if got := line(t, c); !strings.HasPrefix(got, "web ") {
		t.Error(got)
	}
	// Who goes there is told so, after one attempt.
	c = x.dial()
	x.say(c, header(t, nobody))
	until(t, "it was tried", func() bool { return x.r.stat("cluster.original.upstream_cx_connect_fail") == 2 })
	x.say(c, "EHLO x\n")
	if got, err := io.ReadAll(c); len(got) > 0 || err == nil {
		t.Errorf("%q, %v", got, err)
	}
	if n := x.r.stat("cluster.original.upstream_cx_connect_fail"); n != 2 {
		t.Errorf("%d attempts", n)
	}
}

func TestAServerThatEndsFirst(t *testing.T) {
	addr := origin(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) })
	ends := origin(t, func(c *net.TCPConn) { _ = c.CloseWrite(); echo(c) })
	abort := make(chan struct{})
	aborts := origin(t, func(c *net.TCPConn) { <-abort; _ = c.SetLinger(0) })
	x := newRacing(t, "metadata: {filter_metadata: {weir.sniffing: {server_first: {delay: 0s}}}}\n")
	c := x.dial()
	x.say(c, header(t, ends))
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	active := func() int64 { return x.r.stat("cluster.original.upstream_cx_active") }
	until(t, "that is over", func() bool { return active() == 0 })
	c = x.dial()
	x.say(c, header(t, aborts))
	until(t, "it is connected to", func() bool { return active() == 1 }) // a reset before that is a failure to connect
	close(abort)
	if got, err := io.ReadAll(c); len(got) > 0 || err == nil {
		t.Errorf("%q, %v: no reset", got, err)
	}
	if l := x.r.o.Speakers.List(time.Now()); len(l) != 0 {
		t.Errorf("learned %+v", l)
	}
	until(t, "that is over", func() bool { return active() == 0 })
	// A client that goes away takes the connection with it.
	c = x.dial()
	x.say(c, header(t, addr))
	until(t, "it is connected to", func() bool { return active() == 1 })
	c.Close()
	until(t, "it is closed", func() bool { return active() == 0 })
}

func TestTheListenerEndsWhileItRaces(t *testing.T) {
	addr, conns := server(t, "")
	x := newRacing(t, "metadata: {filter_metadata: {weir.sniffing: {server_first: {delay: 0s}}}}\n")
	c := x.slowly(t, addr, conns)
	x.end()
	if got, err := io.ReadAll(c); len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	if got := x.r.stat("cluster.original.upstream_cx_active"); got != 0 {
		t.Errorf("%d upstream connections are left", got)
	}
}
