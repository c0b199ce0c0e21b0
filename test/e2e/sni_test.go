package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// bySNI routes TLS by its server name, without decrypting it.
const bySNI = `
static_resources:
  listeners:
  -` + intercepted + `
    filter_chains:
    - name: exact
      filter_chain_match: {transport_protocol: tls, server_names: [www.shop.test]}
      filters: [{name: tcp, typed_config: {$tcp_proxy, stat_prefix: exact, cluster: exact}}]
    - name: wild
      filter_chain_match: {transport_protocol: tls, server_names: ["*.shop.test"]}
      filters: [{name: tcp, typed_config: {$tcp_proxy, stat_prefix: wild, cluster: wild}}]
  clusters:
  - name: exact
    type: STATIC
    connect_timeout: 1s
    load_assignment: {cluster_name: exact, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: 7443}}}}]}]}
  - name: wild
    type: STATIC
    connect_timeout: 1s
    load_assignment: {cluster_name: wild, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: 8443}}}}]}]}
`

// secure is TLS over a connection of the client's.
func (w *world) secure(c net.Conn, name string, roots *x509.CertPool) *tls.Conn {
	return tls.Client(c, &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12})
}

func TestTLSIsRoutedByServerNameAndNotDecrypted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	exact, exactPool := w.certificate("www.shop.test")
	wild, wildPool := w.certificate("a.shop.test", "b.c.shop.test")
	w.serveHTTP(w.at4("7443"), named("exact"), exact)
	w.serveHTTP(w.at4("8443"), named("wild"), wild)
	w.start(bySNI, takeAll...)
	for _, tc := range []struct {
		name, origin string
		roots        *x509.CertPool
	}{
		{"www.shop.test", "exact", exactPool},
		{"a.shop.test", "wild", wildPool},
		{"b.c.shop.test", "wild", wildPool},
	} {
		// The client verifies the origin's own certificate, and goes to a port where nobody listens.
		c := w.client(tc.roots)
		tr := clientTransport(c)
		tr.TLSClientConfig.ServerName = tc.name
		r := w.mustGet(c, "https://"+w.at4("443")+"/")
		if r.origin != tc.origin || r.seen != w.top.ClientAddr4().String() {
			t.Errorf("%s: answered by %q, which saw %q", tc.name, r.origin, r.seen)
		}
	}
	for name, want := range map[string]int{"tcp.exact.downstream_cx_total": 1, "tcp.wild.downstream_cx_total": 2} {
		if n := w.stat(name); n != want {
			t.Errorf("%s: %d, want %d", name, n, want)
		}
	}
}

func TestClientHelloInManySegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert, pool := w.certificate("www.shop.test")
	w.serveHTTP(w.at4("7443"), named("exact"), cert)
	w.start(bySNI, takeAll...)
	l := w.dial(w.at4("443"))
	if err := l.SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	c := w.secure(&pieces{Conn: l.TCPConn, size: 7}, "www.shop.test", pool)
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil || !bytes.Contains(b, []byte("hello from exact")) {
		t.Errorf("%q, %v", b, err)
	}
}

// pieces sends what is written in segments of a few bytes.
type pieces struct {
	net.Conn
	size int
}

// Write implements net.Conn.
func (p *pieces) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		var k int
		k, err = p.Conn.Write(b[:min(p.size, len(b))])
		n, b = n+k, b[k:]
	}
	return n, err
}

// What the origin gets is what the client sent, byte for byte, and the other way.
func TestPassthroughIsByteExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert, pool := w.certificate("www.shop.test")
	got, sent := make(chan []byte, 1), make(chan []byte, 1)
	w.serveTCP(w.at4("7443"), func(c net.Conn) {
		rec := &recorder{Conn: c}
		s := tls.Server(rec, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		_, _ = io.Copy(s, s)
		got <- rec.read.Bytes()
		sent <- rec.wrote.Bytes()
	})
	w.start(bySNI, takeAll...)
	rec := &recorder{Conn: w.dial(w.at4("443")).TCPConn}
	c := w.secure(rec, "www.shop.test", pool)
	if _, err := c.Write(bytes.Repeat([]byte("0123456789"), 5000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 50000)); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	_ = rec.Conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, rec)
	if !bytes.Equal(<-got, rec.wrote.Bytes()) {
		t.Error("the origin got other bytes than the client sent")
	}
	if want := <-sent; !bytes.HasPrefix(want, rec.read.Bytes()) {
		t.Error("the client got other bytes than the origin sent")
	}
}

// recorder keeps what passes.
type recorder struct {
	net.Conn
	read, wrote bytes.Buffer
}

// Read implements net.Conn.
func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.read.Write(b[:n])
	return n, err
}

// Write implements net.Conn.
func (r *recorder) Write(b []byte) (int, error) {
	n, err := r.Conn.Write(b)
	r.wrote.Write(b[:n])
	return n, err
}

func TestNoFilterChainIsClosedAndTheNearestNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(bySNI, takeAll...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := w.secure(w.dial(w.at4("443")).TCPConn, "www.other.test", nil)
	if err := c.HandshakeContext(ctx); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("handshake: %v", err)
	}
	p.waitLog("www.other.test", "server_names")
	if n := w.listenerStat("no_filter_chain_match"); n != 1 {
		t.Errorf("no_filter_chain_match: %d, want 1", n)
	}
	// Neither is there a chain for what is not TLS.
	start := time.Now()
	l := w.dial(w.at4("443"))
	l.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	l.ended()
	if took := time.Since(start); took > patience/2 {
		t.Errorf("closed after %s", took)
	}
	if n := w.listenerStat("no_filter_chain_match"); n != 2 {
		t.Errorf("no_filter_chain_match: %d, want 2", n)
	}
}
