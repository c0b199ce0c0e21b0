package e2e

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

func TestInterceptedHTTPKeepsBothAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, addr := range []string{w.at4("80"), w.at6("80"), w.at4("8080")} {
		w.serveHTTP(addr, named(addr))
	}
	w.start(passthrough, takeAll...)
	for i, tc := range []struct{ addr, client string }{
		{w.at4("80"), w.top.ClientAddr4().String()},
		{w.at6("80"), w.top.ClientAddr6().String()},
		{w.at4("8080"), w.top.ClientAddr4().String()},
	} {
		r := w.mustGet(w.client(), "http://"+tc.addr+"/")
		if r.code != 200 || r.origin != tc.addr || r.seen != tc.client {
			t.Errorf("%s: %d from %q, which saw %q, want %q", tc.addr, r.code, r.origin, r.seen, tc.client)
		}
		w.waitStat("http.in.downstream_rq_completed", i+1)
	}
	if n := w.stat("cluster.there.upstream_rq_total"); n != 3 {
		t.Errorf("%d requests upstream, want 3", n)
	}
}

func TestHeadersKeepTheirOrderAndCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heads := make(chan string, 1)
	w.serveTCP(w.at4("80"), func(c net.Conn) {
		head, err := readHead(bufio.NewReader(c))
		if err == nil {
			heads <- head
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-UPPER: 1\r\nx-lower: 2\r\nSeT-CooKie: a=1\r\nVia-Me: 3\r\nset-cookie: b=2\r\ncontent-LENGTH: 2\r\n\r\nok")
		}
	})
	w.start(passthrough, takeAll...)
	l := w.dial(w.at4("80"))
	l.send("GET /A%20b?q=%7E HTTP/1.1\r\nUser-AGENT: me\r\nHOST: Example.test\r\nX-Zulu: 1\r\nx-alpha: 2\r\nX-Zulu: 3\r\n\r\n")
	sent := <-heads
	inOrder(t, sent, "GET /A%20b?q=%7E HTTP/1.1\r\n", "User-AGENT: me\r\n", "HOST: Example.test\r\n", "X-Zulu: 1\r\n", "x-alpha: 2\r\n", "X-Zulu: 3\r\n")
	got, err := readHead(l.r)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, got, "HTTP/1.1 200 OK\r\n", "X-UPPER: 1\r\n", "x-lower: 2\r\n", "SeT-CooKie: a=1\r\n", "Via-Me: 3\r\n", "set-cookie: b=2\r\n", "content-LENGTH: 2\r\n")
	l.expect("ok")
}

// inOrder holds a head to have the lines, one after the other.
func inOrder(t *testing.T, head string, lines ...string) {
	t.Helper()
	rest := head
	for _, x := range lines {
		_, after, ok := strings.Cut(rest, x)
		if !ok {
			t.Errorf("no %q at its place in\n%s", x, head)
			continue
		}
		rest = after
	}
}
