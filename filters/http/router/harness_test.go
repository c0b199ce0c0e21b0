package router_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRig serves routes, a RouteConfiguration in JSON, over clusters of the given
// origins; counting filters of the given names come before the router.
func newRig(t testing.TB, routes string, origins map[string]string, before ...string) *rig.Rig {
	t.Helper()
	chain := ""
	for _, name := range before {
		chain += fmt.Sprintf("{name: %s, typed_config: {\"@type\": type.googleapis.com/google.protobuf.Empty}}, ", name)
	}
	return rig.New(t, rig.Options{
		HCM:       "{stat_prefix: test, http_filters: [" + chain + "$router], route_config: " + routes + "}",
		Origins:   origins,
		Factories: []*extension.Factory{countingFactory()},
	})
}

// socketOf takes a copy of the descriptor for our own driver, which allocates
// nothing.
func socketOf(c *net.TCPConn) *netio.Socket {
	raw, err := c.SyscallConn()
	if err != nil {
		panic(err)
	}
	fd := -1
	if err := raw.Control(func(h uintptr) { fd, err = unix.FcntlInt(h, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		panic(err)
	}
	s, err := netio.NewSocket(fd, netip.AddrPort{}, c.RemoteAddr().(*net.TCPAddr).AddrPort())
	if err != nil {
		panic(err)
	}
	return s
}

func get(t testing.TB, c *http.Client, url string) (int, http.Header, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// requestReader reads requests with a Content-Length or none.
type requestReader struct{ r *bufio.Reader }

func newRequestReader(c net.Conn) *requestReader { return &requestReader{bufio.NewReader(c)} }

// next gives the length of the next request's body.
func (r *requestReader) next() (int64, error) {
	req, err := http.ReadRequest(r.r)
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, req.Body)
}
