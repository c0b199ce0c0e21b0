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

func serve(t testing.TB, srv *http.Server) string {
	t.Helper()
	ln := Listen(t)
	done := make(chan struct{})
	go func() { _ = srv.Serve(ln); close(done) }()
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
