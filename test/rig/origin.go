package rig

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Origin is an HTTP/1 server of the standard library; it gives its address.
func Origin(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	return serve(t, &http.Server{Handler: h})
}

// OriginH2C is a server of HTTP/2 with prior knowledge.
func OriginH2C(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	return serve(t, srv)
}

// OriginTLS is a server with a certificate; it speaks HTTP/2 alone, or HTTP/1.1
// alone.
func OriginTLS(t testing.TB, cert *Cert, http2 bool, h http.HandlerFunc) string {
	t.Helper()
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols), TLSConfig: cert.Server()}
	srv.Protocols.SetHTTP2(http2)
	srv.Protocols.SetHTTP1(!http2)
	return serve(t, srv)
}

func serve(t testing.TB, srv *http.Server) string {
	t.Helper()
	ln := Listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if srv.TLSConfig == nil {
			_ = srv.Serve(ln)
		} else {
			_ = srv.ServeTLS(ln, "", "")
		}
	}()
	t.Cleanup(func() { srv.Close(); <-done })
	return ln.Addr().String()
}

// TCPOrigin is a TCP server: serve has each connection and a goroutine of its own,
// and the connection is closed after it.
func TCPOrigin(t testing.TB, serve func(*net.TCPConn)) string {
	t.Helper()
	ln := Listen(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				serve(c)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// Listen listens on loopback; whoever asked closes it.
func Listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// DeadAddr is an address where nobody listens.
func DeadAddr(t testing.TB) string {
	t.Helper()
	ln := Listen(t)
	defer ln.Close()
	return ln.Addr().String()
}
