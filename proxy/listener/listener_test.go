package listener_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func TestUnixSocket(t *testing.T) {
	r := newRig(t, nil)
	path := filepath.Join(t.TempDir(), "s")
	text := `
name: in
address: {pipe: {path: "` + path + `"}}
default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}
`
	ask := func() {
		t.Helper()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := line(t, c); !strings.HasPrefix(got, "rest") {
			t.Error(got)
		}
	}
	x := r.run(text)
	ask()
	y := r.run(text) // takes over the path
	x.end()
	ask()
	y.end()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the path is left:", err)
	}
}

func TestABadAddressIsNamedAndNothingIsLeftOpen(t *testing.T) {
	r := newRig(t, nil)
	before := descriptors(t)
	_, err := listener.New(r.model(`
name: in
address: {socket_address: {address: 127.0.0.1, port_value: 0}}
additional_addresses: [{address: {socket_address: {address: 192.0.2.1, port_value: 80}}}]
default_filter_chain: {filters: [{name: s, typed_config: {$say: rest}}]}
`), r.o)
	if !errors.Is(err, unix.EADDRNOTAVAIL) || !strings.HasPrefix(err.Error(), `listener "in": listen on 192.0.2.1:80: bind: `) {
		t.Error(err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, before there were %d", n, before)
	}
}

func TestSocketsPerWorkerAndTheirOptions(t *testing.T) {
	r := newRig(t, nil)
	r.o.Workers = 3
	x := r.run("tcp_backlog_size: 7\nfreebind: true" + sniffing)
	if n := listening(t, x.addr); n != 3 {
		t.Errorf("%d sockets, want 3", n)
	}
	y := r.run("enable_reuse_port: false" + sniffing)
	if n := listening(t, y.addr); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
	for range 30 {
		if got := x.ask("\x00"); !strings.HasPrefix(got, "rest") {
			t.Fatal(got)
		}
	}
	c := x.dial()
	_ = c
}

// listening counts the sockets that listen on an address, and looks at one.
func listening(t testing.TB, addr netip.AddrPort) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fds {
		var fd int
		if _, err := fmt.Sscan(f.Name(), &fd); err != nil {
			continue
		}
		sa, err := unix.Getsockname(fd)
		in, ok := sa.(*unix.SockaddrInet4)
		if err != nil || !ok || in.Port != int(addr.Port()) {
			continue
		}
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && v == 1 {
			n++
			if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); v != 1 || err != nil {
				t.Errorf("TCP_NODELAY is %d, %v", v, err)
			}
		}
	}
	return n
}

func TestDualStack(t *testing.T) {
	r := newRig(t, nil)
	text := `
name: in
address: {socket_address: {address: "::", port_value: 0, ipv4_compat: DUAL}}
default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}
`
	x := r.run(strings.Replace(text, "DUAL", "true", 1))
	for _, a := range []string{"127.0.0.1", "::1"} {
		x.addr = netip.AddrPortFrom(netip.MustParseAddr(a), x.addr.Port())
		if got := line(t, x.dial()); !strings.Contains(got, "dest="+x.addr.String()+" ") {
			t.Error(got)
		}
	}
	x = r.run(strings.Replace(text, "DUAL", "false", 1))
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", x.addr.Port())); err == nil {
		c.Close()
		t.Error("IPv4 was taken")
	}
}

func TestRunningOutOfDescriptorsIsSurvived(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(sniffing)
	if got := x.ask("\x00"); !strings.HasPrefix(got, "rest") {
		t.Fatal(got)
	}
	until(t, "it is over", func() bool { return x.ActiveConns() == 0 })
	c := socketToConnect(t)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	low := was
	low.Cur = 256
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Skip(err)
	}
	var taken []int
	for {
		fd, err := unix.Dup(c)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	err := unix.Connect(c, &unix.SockaddrInet4{Port: int(x.addr.Port()), Addr: x.addr.Addr().As4()})
	if err != nil {
		t.Error(err)
	}
	until(t, "accepting has failed more than once", func() bool { return x.counter("downstream_cx_accept_error") > 1 })
	for _, fd := range taken {
		unix.Close(fd)
	}
	restore()
	if n := x.counter("downstream_cx_accept_error"); n > 1000 {
		t.Errorf("%d errors: it spins", n)
	}
	until(t, "it is accepted", func() bool { return x.ActiveConns() == 1 })
	if got := x.ask("\x00"); !strings.HasPrefix(got, "rest") {
		t.Error(got)
	}
}

func socketToConnect(t testing.TB) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
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
