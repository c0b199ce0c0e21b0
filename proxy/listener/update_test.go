package listener_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/weirproxy/weir/proxy/listener"
)

const twoChains = `
name: in
address: {$loopback}
listener_filters: [$http_inspector]
filter_chains:
- name: web
  filter_chain_match: {application_protocols: ["http/1.1"]}
  filters: [{name: s, typed_config: {$say: WEB}}]
- name: rest
  filters: [{name: s, typed_config: {$say: REST}}]
`

func TestUpdateKeepsWhatStays(t *testing.T) {
	r := newRig(t, nil)
	text := func(web, rest string) string {
		return strings.NewReplacer("WEB", web, "REST", rest).Replace(twoChains)
	}
	x := r.run(text("web1", "rest1"))
	ask := func(send, want string) *net.TCPConn {
		t.Helper()
		c := x.dial()
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		if got := line(t, c); !strings.HasPrefix(got, want+" ") {
			t.Errorf("%s, want %s", got, want)
		}
		return c
	}
	const web, rest = "GET / HTTP/1.1\r\n", "\x00"
	w, o := ask(web, "web1"), ask(rest, "rest1")
	addr := x.Addresses()[0]
	if err := x.Update(r.model(text("web2", "rest1"))); err != nil {
		t.Fatal(err)
	}
	if x.Addresses()[0] != addr {
		t.Error("the address changed")
	}
	ask(web, "web2")
	ask(rest, "rest1")
	if n := x.ActiveConns(); n != 4 {
		t.Errorf("%d connections, want 4: none is cut", n)
	}
	w.Close()
	o.Close()
	until(t, "two are left", func() bool { return x.ActiveConns() == 2 })
	x.Drain()
	x.CloseConns()
	until(t, "none is left", func() bool { return x.ActiveConns() == 0 })
	if err := x.Update(r.model(strings.Replace(text("a", "b"), "port_value: 0", "port_value: 1", 1) + "tcp_backlog_size: 3\n")); !errors.Is(err, listener.ErrSockets) {
		t.Error(err)
	}
}

func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(strings.NewReplacer("WEB", "panic", "REST", "rest").Replace(twoChains))
	other := x.dial()
	if _, err := io.WriteString(other, "\x00"); err != nil {
		t.Fatal(err)
	}
	if got := line(t, other); !strings.HasPrefix(got, "rest") {
		t.Fatal(got)
	}
	if got := x.ask("GET / HTTP/1.1\r\n"); !strings.Contains(got, "reset") {
		t.Errorf("%s, want a reset", got)
	}
	until(t, "it is over", func() bool { return x.ActiveConns() == 1 })
	if got := x.counter("downstream_cx_panic"); got != 1 {
		t.Errorf("downstream_cx_panic is %d", got)
	}
	lines := r.log.FilterMessage("panic while serving a connection").All()
	if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()["stack"]), "ServeConn") {
		t.Errorf("%d lines", len(lines))
	}
}

func TestStopAcceptingLeavesConnections(t *testing.T) {
	r := newRig(t, map[string]string{"a": origin(t, echo)})
	x := r.run(echoListener)
	c := x.dial()
	if _, err := io.WriteString(c, "one\n"); err != nil {
		t.Fatal(err)
	}
	if got := line(t, c); got != "one" {
		t.Fatal(got)
	}
	x.StopAccepting()
	x.StopAccepting()
	if c, err := net.Dial("tcp", x.addr.String()); err == nil {
		c.Close()
		t.Error("a connection was taken")
	}
	if _, err := io.WriteString(c, "two\n"); err != nil {
		t.Fatal(err)
	}
	if got := line(t, c); got != "two" {
		t.Error(got)
	}
	x.end() // closes what is left, and returns
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives on")
	}
	if n := x.ActiveConns(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestWhatWaitsWhenAcceptingStopsIsServed(t *testing.T) {
	r := newRig(t, map[string]string{"a": origin(t, echo)})
	l, err := listener.New(r.model(echoListener), r.o)
	if err != nil {
		t.Fatal(err)
	}
	x := &running{Listener: l, r: r, addr: l.Addresses()[0]}
	var conns []*net.TCPConn
	for range 20 {
		conns = append(conns, x.dial()) // nobody accepts yet
	}
	x = r.runs(l)
	until(t, "it accepts", func() bool { return x.ActiveConns() > 0 })
	x.StopAccepting()
	for _, c := range conns {
		if _, err := io.WriteString(c, "x\n"); err != nil {
			t.Fatal(err)
		}
		if got := line(t, c); got != "x" {
			t.Fatal(got)
		}
	}
}
