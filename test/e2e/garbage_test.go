package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// openings are how what one of the parsers wants begins; the rest is noise.
var openings = []string{
	"", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x16\x03\x01\xff\xff", "GET / HTTP/1.1\r\nHost: a\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET ",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "PROXY TCP4 ", "\r\n\r\n\r\n", "\x00\x00\x00",
}

// garbage sends one connection's worth of it, and ends in one of several ways.
func (w *world) garbage(r *rand.Rand, addr string) error {
	l, err := w.top.Client.Dial(w.t.Context(), &net.Dialer{Timeout: patience}, "tcp", addr)
	if err != nil {
		return err
	}
	c := l.(*net.TCPConn)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	b := append([]byte(openings[r.IntN(len(openings))]), make([]byte, r.IntN(2000))...)
	n := len(b)
	for i := range b[:] {
		if b[i] == 0 {
			b[i] = byte(r.Uint32())
		}
	}
	for n > 0 { // in several segments
		k := 1 + r.IntN(n)
		if _, err := c.Write(b[len(b)-n:][:k]); err != nil {
			return nil // refused already: as good
		}
		n -= k
	}
	switch r.IntN(3) {
	case 0:
		_ = c.SetLinger(0)
	case 1:
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
	}
	return nil
}

// flood sends garbage from several connections at once until next gives false.
func (w *world) flood(seed uint64, addrs []string, next func(i int) bool) {
	var wg sync.WaitGroup
	for k := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, k))
			for i := 0; next(i); i++ {
				if err := w.garbage(r, addrs[i%len(addrs)]); err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// quiet waits until no connection is left, and holds Weir to be alive.
func (w *world) quiet() {
	w.t.Helper()
	w.until("all connections are gone", func() error {
		if n := w.listenerStat("downstream_cx_active"); n != 0 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	if body := w.mustAdmin("/ready"); body != "LIVE\n" {
		w.t.Errorf("state %q", body)
	}
	if n := w.listenerStat("downstream_cx_panic"); n != 0 {
		w.t.Errorf("%d panics", n)
	}
}

func (w *world) serveGarbage() []string {
	w.serveHTTP(w.at4("80"), named("web"))
	w.serveTCP(w.at4("7001"), func(c net.Conn) { _, _ = io.Copy(c, c) })
	return []string{w.at4("80"), w.at4("443"), w.at4("7001")} // nobody listens on 443
}

func TestGarbageOnInterceptedPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	addrs := w.serveGarbage()
	w.start(passthrough, takeAll...)
	w.flood(1, addrs, func(i int) bool { return i < 150 })
	w.quiet()
	s := w.stats()
	if s["http.in.downstream_cx_protocol_error"] == 0 || s["http.in.downstream_rq_4xx"] == 0 || s["tcp.opaque.downstream_cx_total"] == 0 {
		t.Errorf("not counted: %d protocol errors, %d 4xx, %d opaque", s["http.in.downstream_cx_protocol_error"],
			s["http.in.downstream_rq_4xx"], s["tcp.opaque.downstream_cx_total"])
	}
	if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.origin != "web" {
		t.Errorf("afterwards answered by %q", r.origin)
	}
}
