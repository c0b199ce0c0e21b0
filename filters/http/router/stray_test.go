package router_test

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// TestResponseToNobodyIsNotDelivered has an origin that answers each request with
// its number, and says one thing more once the proxy has put the connection back:
// nobody must get that for an answer.
func TestResponseToNobodyIsNotDelivered(t *testing.T) {
	ln := rig.Listen(t)
	var n atomic.Int32
	speak, spoken := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var all []*net.TCPConn
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				break
			}
			all = append(all, c)
			go func() {
				rd := newRequestReader(c)
				for {
					if _, err := rd.next(); err != nil {
						return
					}
					k := n.Add(1)
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", k)
					<-speak
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
					spoken <- struct{}{}
				}
			}()
		}
		for _, c := range all {
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	r := newRig(t, toA, map[string]string{"a": ln.Addr().String()})
	c := rig.Client(t)
	for i := 1; i <= 4; i++ {
		if code, _, body := get(t, c, "http://"+r.Addr+"/"); code != 200 || body != fmt.Sprint(i) {
			t.Fatalf("request %d: %d %q", i, code, body)
		}
		speak <- struct{}{}
		<-spoken
	}
}
