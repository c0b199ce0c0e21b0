package listener_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/listener"
)

// TestSelfDialDoesNotLoop dials a listener that is not transparent: it may serve
// the connection, but has no original destination to send it to.
func TestSelfDialDoesNotLoop(t *testing.T) {
	r := newRig(t, map[string]string{"o": "original"})
	var own addrs
	r.o.OwnListeners = own.get
	text := strings.Replace(echoListener, "cluster: a", "cluster: o", 1) + "use_original_dst: true\n"
	for _, addr := range []string{"127.0.0.1", "0.0.0.0"} {
		x := r.run(strings.Replace(text, "$loopback", "socket_address: {address: "+addr+", port_value: 0}", 1))
		own.set(x.Addresses())
		x.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), x.addr.Port())
		if got, err := x.all(); len(got) > 0 || !errors.Is(err, unix.ECONNRESET) {
			t.Error(got, err)
		}
		if got := x.counter("downstream_cx_self_dial_refused"); got != 0 {
			t.Errorf("downstream_cx_self_dial_refused is %d", got)
		}
		if n := r.stat("cluster.o.upstream_cx_total"); n != 0 {
			t.Errorf("%d upstream connections", n)
		}
	}
	// A chain that names the port wants it.
	r = newRig(t, nil)
	r.o.OwnListeners = own.get
	port := freePort(t)
	x := r.run(fmt.Sprintf(`
name: in
address: {socket_address: {address: 127.0.0.1, port_value: %d}}
use_original_dst: true
filter_chains:
- name: wanted
  filter_chain_match: {destination_port: %d}
  filters: [{name: s, typed_config: {$say: wanted}}]
`, port, port))
	own.set(x.Addresses())
	if got := line(t, x.dial()); !strings.HasPrefix(got, "wanted") {
		t.Error(got)
	}
}

// addrs is a list of addresses that changes while it is read.
type addrs struct {
	p atomic.Pointer[[]netip.AddrPort]
}

func (a *addrs) set(l []netip.AddrPort) { a.p.Store(&l) }

func (a *addrs) get() []netip.AddrPort {
	if l := a.p.Load(); l != nil {
		return *l
	}
	return nil
}

func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func TestConnectionIsHandedToTheListenerOfItsDestination(t *testing.T) {
	r := newRig(t, nil)
	var virtual atomic.Pointer[listener.Listener]
	r.o.Find = func(dst netip.AddrPort) *listener.Listener {
		if dst == netip.MustParseAddrPort("198.51.100.9:443") {
			return virtual.Load()
		}
		return nil
	}
	v := r.run(`
name: virtual
address: {socket_address: {address: 198.51.100.9, port_value: 443}}
bind_to_port: false
listener_filters: [$http_inspector]
access_log: [$log]
default_filter_chain: {name: there, filters: [{name: s, typed_config: {$say: there}}]}
`)
	virtual.Store(v.Listener)
	if got := v.Addresses(); len(got) != 1 || got[0].String() != "198.51.100.9:443" {
		t.Error(got)
	}
	x := r.run(`
name: in
address: {$loopback}
use_original_dst: true
listener_filters: [{name: p, typed_config: {$proxy_protocol}}]
default_filter_chain: {name: here, filters: [{name: s, typed_config: {$say: here}}]}
`)
	if got := x.ask("PROXY TCP4 192.0.2.7 198.51.100.9 1234 443\r\nGET / HTTP/1.1\r\n"); !strings.HasPrefix(got, "there ") || !strings.Contains(got, `alpn=["http/1.1"]`) {
		t.Error(got)
	}
	if got := x.ask("PROXY TCP4 192.0.2.7 198.51.100.10 1234 443\r\nGET / HTTP/1.1\r\n"); !strings.HasPrefix(got, "here ") {
		t.Error(got)
	}
	until(t, "both are over", func() bool { return x.ActiveConns() == 0 && v.ActiveConns() == 0 })
	for k, want := range map[string]int64{
		"listener.198.51.100.9_443.downstream_cx_total": 1, "listener.198.51.100.9_443.downstream_cx_active": 0,
		"listener.127.0.0.1_0.downstream_cx_total": 2, "listener.127.0.0.1_0.downstream_cx_destroy": 2,
	} {
		if got := r.stat(k); got != want {
			t.Errorf("%s is %d, want %d", k, got, want)
		}
	}
	i, n := r.logs.last()
	if n != 1 || i.Listener != "virtual" {
		t.Errorf("%d entries, the last of %q", n, i.Listener)
	}
	// The one that accepts may go while the other serves.
	c := x.dial()
	if _, err := io.WriteString(c, "PROXY TCP4 192.0.2.7 198.51.100.9 1234 443\r\nGET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	line(t, c)
	x.end()
	if n := v.ActiveConns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
