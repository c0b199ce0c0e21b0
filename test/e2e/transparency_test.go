package e2e

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The list of what "transparent" means is linkerd2-proxy's
// (app/integration/src/tests/transparency.rs).

func TestServerSpeaksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	banner := func(c net.Conn) {
		_, _ = io.WriteString(c, "220 mail.test ready\r\n")
		r := bufio.NewReader(c)
		if s, err := r.ReadString('\n'); err == nil {
			_, _ = io.WriteString(c, "250 hello "+s)
		}
	}
	w.serveTCP(w.at4("25"), banner)
	w.serveTCP(w.at4("4025"), banner)
	// The listener filters would wait for a minute, and then close.
	w.start(strings.NewReplacer("listener_filters_timeout: 0.3s", "listener_filters_timeout: 60s",
		"continue_on_listener_filters_timeout: true", "continue_on_listener_filters_timeout: false").Replace(passthrough), takeAll...)
	// A well-known port, one that is not, and that again, when its server is known.
	for _, port := range []string{"25", "4025", "4025"} {
		l := w.dial(w.at4(port))
		l.expect("220 mail.test ready\r\n")
		l.send("EHLO me\r\n")
		l.expect("250 hello EHLO me\r\n")
	}
	if n := w.listenerStat("downstream_pre_cx_server_first"); n != 3 {
		t.Errorf("server first: %d, want 3", n)
	}
	if n := w.stat("cluster.there.upstream_cx_total"); n != 3 {
		t.Errorf("%d connections to the servers, want 3", n)
	}
	if known := w.mustAdmin("/server_first"); !strings.Contains(known, w.at4("4025")) || !strings.Contains(known, `"protocol": "smtp`) {
		t.Errorf("known to speak first:\n%s", known)
	}
}

func TestSilentConnectionsAreClosedWhereTheListenerSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveTCP(w.at4("4025"), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	w.start(strings.Replace(passthrough, "continue_on_listener_filters_timeout: true", "continue_on_listener_filters_timeout: false", 1), takeAll...)
	l := w.dial(w.at4("4025"))
	l.ended()
	if n := w.listenerStat("downstream_pre_cx_timeout"); n != 1 {
		t.Errorf("timeouts: %d, want 1", n)
	}
}

func TestHalfCloseGoesBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The server answers after it saw the end of the client's bytes.
	w.serveTCP(w.at4("7001"), func(c net.Conn) {
		b, err := io.ReadAll(c)
		if err == nil {
			_, _ = io.WriteString(c, "you said: "+string(b))
		}
	})
	// The server ends first, and hears the rest.
	heard := make(chan string, 1)
	w.serveTCP(w.at4("7002"), func(c net.Conn) {
		_, _ = io.WriteString(c, "all I say")
		_ = c.(*net.TCPConn).CloseWrite()
		b, err := io.ReadAll(c)
		if err != nil {
			b = []byte(err.Error())
		}
		heard <- string(b)
	})
	w.start(passthrough, takeAll...)

	l := w.dial(w.at4("7001"))
	l.send("ping")
	if err := l.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	l.expect("you said: ping")
	if l.ended() {
		t.Error("ended with a reset")
	}

	l = w.dial(w.at4("7002"))
	l.send("first ")
	l.expect("all I say")
	if l.ended() {
		t.Error("ended with a reset")
	}
	l.send("and last")
	if err := l.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if s := <-heard; s != "first and last" {
		t.Errorf("the server heard %q", s)
	}
}

func TestResetsGoBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveTCP(w.at4("7001"), func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		reset(c)
	})
	saw := make(chan error, 1)
	w.serveTCP(w.at4("7002"), func(c net.Conn) {
		_, _ = io.WriteString(c, "hello")
		_, err := io.ReadAll(c)
		saw <- err
	})
	w.start(passthrough, takeAll...)

	l := w.dial(w.at4("7001"))
	l.send("ping")
	if !l.ended() {
		t.Error("the server's reset became a clean end")
	}

	l = w.dial(w.at4("7002"))
	l.send("x")
	l.expect("hello")
	reset(l.TCPConn)
	if err := <-saw; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the client's reset became %v", err)
	}
}

func TestHTTP10WithoutHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("80"), named("old"))
	w.start(strings.Replace(passthrough, "accept_http_10: true", "accept_http_10: true, default_host_for_http_10: old.test", 1), takeAll...)
	l := w.dial(w.at4("80"))
	l.send("GET / HTTP/1.0\r\n\r\n")
	if r := l.response("GET"); r.code != 200 || r.origin != "old" {
		t.Errorf("%d from %q", r.code, r.origin)
	}
	l.ended()
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := make(chan struct{}), make(chan struct{})
	w.serveHTTP(w.at4("80"), func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/1":
			close(first)
		case "/2":
			close(second)
		}
		_, _ = io.WriteString(rw, r.URL.Path)
	})
	w.start(passthrough, takeAll...)
	l := w.dial(w.at4("80"))
	l.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	<-first
	<-second
	for _, want := range []string{"/1", "/2"} {
		if r := l.response("GET"); r.code != 200 || r.body != want {
			t.Errorf("%d %q, want %q", r.code, r.body, want)
		}
	}
	l.ended()
}

func TestClosedPortsLookClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(passthrough, takeAll...)
	// The kernel accepts before the server is asked: opaque bytes end, HTTP has an answer.
	l := w.dial(w.at4("7009"))
	l.send("anything")
	l.ended()
	l = w.dial(w.at4("80"))
	l.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := l.response("GET"); r.code != 503 {
		t.Errorf("HTTP to a closed port: %d, want 503", r.code)
	}
	// A client that is slow to speak has its server connected to meanwhile.
	if n := w.stat("cluster.there.upstream_cx_connect_fail"); n < 2 {
		t.Errorf("connect failures: %d, want 2", n)
	}
}

// A connection to the listener itself would come back for ever.
func TestConnectionsToTheProxyItselfAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(passthrough, takeAll...)
	for _, addr := range []string{
		net.JoinHostPort(w.top.GatewayAddr4().String(), "15001"),
		net.JoinHostPort(w.top.GatewayAddr6().String(), "15001"),
	} {
		l, err := w.tryDial(addr)
		if err != nil {
			continue // refused by the kernel: as good
		}
		_, _ = io.WriteString(l, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if b, err := io.ReadAll(l.r); err == nil && len(b) > 0 {
			t.Errorf("%s answers %q", addr, tail(string(b), 200))
		}
	}
	if n := w.stat("cluster.there.upstream_cx_total"); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}
