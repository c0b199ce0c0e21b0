package listener_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/listener"
)

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
