package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withPort lends the client's port too.
const withPort = `{name: original_src, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc, bind_port: true}}`

// seen tells a client which address its connection comes from.
func seen(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		if _, err := r.ReadString('\n'); err != nil {
			return
		}
		if _, err := fmt.Fprintln(c, c.RemoteAddr()); err != nil {
			return
		}
	}
}

// from connects from a port of the client's, which others may use at the same time.
func (w *world) from(port int, addr string) *line {
	w.t.Helper()
	d := &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{Port: port}, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }); e != nil {
			return e
		}
		return err
	}}
	c, err := w.top.Client.Dial(context.Background(), d, "tcp", addr)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(4 * patience))
	w.t.Cleanup(func() { _ = c.Close() })
	return &line{TCPConn: c.(*net.TCPConn), w: w, r: bufio.NewReader(c)}
}

// asks sends a line and reads where the server saw it come from.
func (l *line) asks() netAddr {
	l.w.t.Helper()
	l.send("whence?\n")
	s, err := l.r.ReadString('\n')
	if err != nil {
		l.w.t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(s))
	if err != nil {
		l.w.t.Fatal(err)
	}
	return netAddr{host, port}
}

type netAddr struct{ host, port string }

// TestServersSeeTheClientsAddress: every connection under the client's address, with
// ports that the system chooses for each destination apart.
func TestServersSeeTheClientsAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveTCP(w.at4("7001"), seen)
	w.serveTCP(w.at6("7001"), seen)
	w.start(passthrough, takeAll...)
	for _, x := range []struct{ at, client string }{{w.at4("7001"), w.top.ClientAddr4().String()}, {w.at6("7001"), w.top.ClientAddr6().String()}} {
		ports := map[string]bool{}
		for range 40 { // at once: they stay open
			got := w.dial(x.at).asks()
			if got.host != x.client || ports[got.port] {
				t.Errorf("seen as %v, want %s and a port of its own", got, x.client)
			}
			ports[got.port] = true
		}
	}
}

// TestServersSeeTheClientsPort: two connections from one port of the client's, to
// two ports of the server's, at the same time.
func TestServersSeeTheClientsPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, port := range []string{"7001", "7002"} {
		w.serveTCP(w.at4(port), seen)
		w.serveTCP(w.at6(port), seen)
	}
	w.start(strings.Replace(passthrough, "$original_src", withPort, 1), takeAll...)
	var lines []*line
	for _, at := range []string{w.at4("7001"), w.at4("7002"), w.at6("7001"), w.at6("7002")} {
		l := w.from(40000, at)
		if got := l.asks(); got.port != "40000" {
			t.Errorf("%s: seen as %v, want port 40000", at, got)
		}
		lines = append(lines, l)
	}
	for _, l := range lines { // each still has its own
		if got := l.asks(); got.port != "40000" {
			t.Errorf("seen as %v, want port 40000", got)
		}
	}
	_ = lines[0].CloseWrite()
	if b, err := io.ReadAll(lines[0].r); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	if got := lines[1].asks(); got.port != "40000" {
		t.Errorf("after another one's end: seen as %v", got)
	}
}
