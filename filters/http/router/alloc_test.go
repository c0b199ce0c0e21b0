package router_test

import (
	"bytes"
	"net"
	"testing"

	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/test/rig"
)

const (
	wireRequest = "GET /hello?a=b HTTP/1.1\r\nHost: example.test\r\nUser-Agent: bench/1\r\nAccept: */*\r\nX-One: 1\r\nX-Two: 2\r\n\r\n"
	wireBody    = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	wireReply   = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\nServer: origin\r\n\r\n" + wireBody
)

// rawOrigin answers every request with wireReply and allocates nothing.
func rawOrigin(t testing.TB) string {
	ln := rig.Listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []*netio.Socket
		ended := make(chan struct{})
		n := 0
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				break
			}
			s := socketOf(c)
			c.Close()
			open = append(open, s)
			n++
			go func() {
				defer func() { ended <- struct{}{} }()
				buf := make([]byte, 4096)
				reply := []byte(wireReply)
				for {
					k, err := s.Read(buf)
					if err != nil {
						return
					}
					for range bytes.Count(buf[:k], []byte("\r\n\r\n")) {
						if _, err := s.Write(reply); err != nil {
							return
						}
					}
				}
			}()
		}
		for _, s := range open {
			s.Close()
		}
		for range n {
			<-ended
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// rawClient sends wireRequest over one connection and reads a whole response.
type rawClient struct {
	s   *netio.Socket
	buf []byte
	req []byte
}

func dialRaw(t testing.TB, addr string) *rawClient {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := socketOf(c.(*net.TCPConn))
	c.Close()
	t.Cleanup(func() { s.Close() })
	return &rawClient{s: s, buf: make([]byte, 4096), req: []byte(wireRequest)}
}

func (c *rawClient) do(t testing.TB) {
	if _, err := c.s.Write(c.req); err != nil {
		t.Fatal(err)
	}
	n := 0
	for !bytes.HasSuffix(c.buf[:n], []byte(wireBody)) {
		k, err := c.s.Read(c.buf[n:])
		if err != nil {
			t.Fatalf("%v after %q", err, c.buf[:n])
		}
		n += k
	}
	if !bytes.HasPrefix(c.buf, []byte("HTTP/1.1 200 OK\r\n")) {
		t.Fatalf("%q", c.buf[:n])
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("pools allocate at random under the race detector")
	}
	r := newRig(t, toA, map[string]string{"a": rawOrigin(t)})
	c := dialRaw(t, r.Addr)
	for range 100 {
		c.do(t)
	}
	// Whatever allocates now and then (the Date, a pool after a collection) is less
	// than one in a hundred requests.
	if n := testing.AllocsPerRun(2000, func() { c.do(t) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	r := newRig(b, toA, map[string]string{"a": rawOrigin(b)})
	c := dialRaw(b, r.Addr)
	c.do(b)
	b.ReportAllocs()
	for b.Loop() {
		c.do(b)
	}
}
