package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/info"
)

// The handshake of a loopback connection is often over before the socket meets the
// poller; none may be missed.
func TestManyDials(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")
	for range 2000 {
		a := mustOpen(t, c, &OpenInfo{Fresh: true})
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Stats().CxTotal.Value(); got != 2000 {
		t.Errorf("upstream_cx_total %d, want 2000", got)
	}
	if got := c.Stats().CxActive.Value(); got != 0 {
		t.Errorf("upstream_cx_active %d, want 0", got)
	}
}

// refused is an address nobody listens on.
func refused(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func TestConnectFailureIsUF(t *testing.T) {
	r := newRig(t, Options{})
	r.apply(static("a", refused(t)))
	c := r.get("a")
	h, _ := c.Pick(&PickInfo{})
	_, err := c.OpenHTTP(context.Background(), h, &OpenInfo{})
	if err == nil {
		t.Fatal("connected to nobody")
	}
	if err.Flag != info.UpstreamConnectionFailure || err.Details != DetailsConnectFailure || err.Sent || !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("got %+v", err)
	}
	st := c.Stats()
	if st.CxConnectFail.Value() != 1 || st.CxActive.Value() != 0 || st.RqPendingActive.Value() != 0 || st.RqTotal.Value() != 0 {
		t.Errorf("connect_fail %d cx_active %d rq_pending_active %d rq_total %d", st.CxConnectFail.Value(), st.CxActive.Value(), st.RqPendingActive.Value(), st.RqTotal.Value())
	}
}

// deaf listens with a full backlog, so that connecting to it never ends.
func deaf(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
	// A backlog of 0 holds one connection.
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return addr
}

func TestConnectTimeouts(t *testing.T) {
	addr := deaf(t)
	r := newRig(t, Options{})
	cfg := static("a", addr)
	cfg.ConnectTimeout = 30 * time.Millisecond
	r.apply(cfg)
	c := r.get("a")
	h, _ := c.Pick(&PickInfo{})

	_, err := c.OpenHTTP(context.Background(), h, &OpenInfo{})
	if err == nil || err.Flag != info.UpstreamConnectionFailure || err.Details != DetailsConnectTimeout || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connect timeout: %+v", err)
	}
	if got := c.Stats().CxConnectTimeout.Value(); got != 1 {
		t.Errorf("upstream_cx_connect_timeout %d, want 1", got)
	}
	_, err = c.OpenHTTP(context.Background(), h, &OpenInfo{Deadline: time.Now().Add(5 * time.Millisecond)})
	if err == nil || err.Flag != info.UpstreamRequestTimeout {
		t.Errorf("request timeout: %+v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("gone")
	cancel(gone)
	_, err = c.OpenHTTP(ctx, h, &OpenInfo{})
	if err == nil || !errors.Is(err, gone) || err.Flag != info.DownstreamConnectionTermination {
		t.Errorf("cancelled: %+v", err)
	}
	if got := c.Stats().CxConnectTimeout.Value(); got != 1 {
		t.Errorf("upstream_cx_connect_timeout %d, want 1 still", got)
	}
}

func TestUnixSocketHost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{ln: ln, conns: map[net.Conn]bool{}}
	o.wg.Go(o.serve)
	t.Cleanup(o.close)
	r := newRig(t, Options{})
	cfg := static("a")
	cfg.Assignment.Localities[0].Endpoints = []*cluster.Endpoint{{Pipe: path}}
	r.apply(cfg)
	a := mustOpen(t, r.get("a"), &OpenInfo{})
	roundTrip(t, a)
	if a.Host.String() != path {
		t.Errorf("host is %q, want %q", a.Host, path)
	}
	a.Release()
}
