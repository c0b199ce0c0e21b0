package tcpproxy_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// passing takes TLS to an origin by its server name, and never has a certificate.
const passing = `
listeners:
- name: in
  address: {$loopback}
  listener_filters: [$tls_inspector, $http_inspector]
  filter_chains:
  - filter_chain_match: {server_names: [pass.test]}
    filters: [{name: t, typed_config: {$tcp_proxy, stat_prefix: t, cluster: a}}]
  - filter_chain_match: {server_names: [http.test]}
    filters:
    - name: hcm
      typed_config:
        $hcm
        stat_prefix: h
        http_filters: [$router]
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]}
`

// A wire keeps what goes through a connection each way.
type wire struct {
	net.Conn
	mu        sync.Mutex
	got, sent bytes.Buffer // guarded by mu
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got.Write(p[:n])
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent.Write(p[:n])
	return n, err
}

// serve accepts connections, each of which do has until it returns.
func serve(t *testing.T, do func(*wire)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				do(&wire{Conn: c})
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &wire{Conn: c}
}

func passingRig(t *testing.T, origin string) *rig.Rig {
	return rig.New(t, rig.Options{Config: passing, Origins: map[string]string{"a": origin}})
}

// Every byte of a TLS connection that is passed on is the other side's, in both directions, from the first hello to the last alert.
func TestTLSPassesThroughByteForByte(t *testing.T) {
	cert := rig.Certificate(t, "pass.test").TLS
	origin := make(chan *wire, 1)
	addr := serve(t, func(w *wire) {
		s := tls.Server(w, &tls.Config{Certificates: []tls.Certificate{cert}})
		_, _ = io.Copy(s, s)
		_ = s.Close()
		_, _ = io.Copy(io.Discard, w)
		origin <- w
	})
	c := dial(t, passingRig(t, addr).Addr)
	s := tls.Client(c, &tls.Config{ServerName: "pass.test", InsecureSkipVerify: true})
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	if got := s.ConnectionState().PeerCertificates[0].Raw; !bytes.Equal(got, cert.Certificate[0]) {
		t.Error("the certificate is not the origin's")
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB, many records
	go func() { _, _ = s.Write(data); _ = s.CloseWrite() }()
	back, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(back, data) {
		t.Fatalf("%d bytes back, %v", len(back), err)
	}
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	o := <-origin
	for _, d := range []struct {
		way       string
		from, too *bytes.Buffer
	}{{"to the origin", &c.sent, &o.got}, {"to the client", &o.sent, &c.got}} {
		if !bytes.Equal(d.from.Bytes(), d.too.Bytes()) {
			t.Errorf("%s: %d bytes were sent, %d came, and they differ", d.way, d.from.Len(), d.too.Len())
		}
	}
	if c.sent.Len() < len(data) || o.sent.Len() < len(data) {
		t.Errorf("only %d and %d bytes", c.sent.Len(), o.sent.Len())
	}
}

// The first flight may be cut anywhere.
func TestFirstFlightPassesThroughHoweverItIsCut(t *testing.T) {
	addr := serve(t, func(w *wire) { _, _ = io.Copy(w, struct{ io.Reader }{w}) })
	r := passingRig(t, addr)
	hello := helloOf(t, "pass.test")
	for cut := 1; cut < len(hello); cut++ {
		c, err := net.Dial("tcp", r.Addr) // without Nagle's algorithm each write is a segment
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, err1 := c.Write(hello[:cut])
		_, err2 := c.Write(hello[cut:])
		_ = c.(*net.TCPConn).CloseWrite()
		got, err3 := io.ReadAll(c)
		c.Close()
		if err1 != nil || err2 != nil || err3 != nil || !bytes.Equal(got, hello) {
			t.Fatalf("cut at %d of %d: %d bytes came back, %v, %v, %v", cut, len(hello), len(got), err1, err2, err3)
		}
	}
}

// helloOf is the first flight of Go's client, with a name.
func helloOf(t *testing.T, name string) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(a, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(b, body); err != nil {
		t.Fatal(err)
	}
	a.Close()
	<-done
	return append(head, body...)
}

// Without a certificate in the chain nothing is decrypted: not for tcp_proxy, and no less for HTTP, which then cannot be read.
func TestTLSIsNotDecryptedWithoutACertificate(t *testing.T) {
	r := passingRig(t, serve(t, func(w *wire) { _, _ = io.Copy(io.Discard, w) }))
	for _, name := range []string{"http.test", "unknown.test"} {
		c := dial(t, r.Addr)
		err := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		if err == nil {
			t.Errorf("%s: a handshake with somebody", name)
		}
		if got := c.got.String(); got != "" && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s: the answer to a hello is %q", name, got)
		}
	}
	if n := r.Stat("http.h.downstream_cx_ssl_total"); n != 0 {
		t.Errorf("%d TLS connections", n)
	}
	// The transport socket that would decrypt is refused without a certificate.
	const empty = `
listeners:
- name: in
  address: {$loopback}
  filter_chains:
  - filters: [{name: t, typed_config: {$tcp_proxy, stat_prefix: t, cluster: a}}]
    transport_socket: {name: tls, typed_config: {$downstream_tls, common_tls_context: {}}}
`
	err := rig.Check(rig.Options{Config: empty, Origins: map[string]string{"a": "127.0.0.1:1"}})
	if err == nil || !strings.Contains(fmt.Sprint(err), "filter_chains[0].transport_socket") {
		t.Errorf("a transport socket without certificate: %v", err)
	}
}
