//lint:file-ignore SA1019 x/net's server and client are wanted as peers, whatever net/http offers

package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/netio"
)

// stdConn is a netio.Conn as x/net wants one.
type stdConn struct{ netio.Conn }

func (c stdConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.Conn.LocalAddr()) }
func (c stdConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.Conn.RemoteAddr()) }
func (c stdConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// TestXNetTransportAsTheClient: Go's client against our Server.
func TestXNetTransportAsTheClient(t *testing.T) {
	a, b := netio.Pipe(0)
	r := serve(a, b, &Options{}, serving(echo), 0, 0)
	cc, err := (&http2.Transport{}).NewClientConn(stdConn{b})
	must(t, err)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			want := strings.Repeat(fmt.Sprint(i, ","), 10000)
			req, _ := http.NewRequest("POST", "http://example.org/path", strings.NewReader(want))
			req.ContentLength = -1
			req.Trailer = http.Header{"X-Sum": {"5"}}
			res, err := cc.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil || string(got) != want || res.Header.Get("X-Path") != "/path" || res.Trailer.Get("X-Sum") != "5" {
				t.Error(len(got), err, res.Header, res.Trailer)
			}
		})
	}
	wg.Wait()
	must(t, cc.Close())
	<-r.done
}

// TestXNetServerAsTheOrigin: our ClientConn against Go's server.
func TestXNetServerAsTheOrigin(t *testing.T) {
	a, b := netio.Pipe(0)
	served := make(chan struct{})
	go func() {
		defer close(served)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(103)
			w.Header().Set("X-Method", r.Method)
			_, _ = io.Copy(w, r.Body)
			w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
		})
		(&http2.Server{MaxConcurrentStreams: 100}).ServeConn(stdConn{a}, &http2.ServeConnOpts{Handler: h, BaseConfig: &http.Server{}})
	}()
	k, err := NewClientConn(b, &Options{}, newStats(), ClientEvents{})
	must(t, err)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, 10000*i)
			x, err := k.Open()
			if err != nil {
				t.Error(err)
				return
			}
			defer x.Release()
			x.Begin(nil)
			if err := x.WriteHeaders(post("/", "trailer", "x-sum"), false); err != nil {
				t.Error(err)
				return
			}
			w := make(chan error, 1)
			go func() {
				w <- errors.Join(x.WriteBody(want, false), x.WriteTrailers(fieldsOf("x-sum", "9")), x.Flush())
			}()
			code, h, tr, got := response(t, x)
			if err := <-w; err != nil || code != 200 || !bytes.Equal(got, want) {
				t.Error(err, code, len(got))
			}
			_, _ = h, tr
		})
	}
	wg.Wait()
	k.Close()
	<-k.Done()
	<-served
}
