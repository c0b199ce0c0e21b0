package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// serveTCP runs serve for every connection to an address in the server's
// namespace. The connection is closed after it. When the test ends all are.
func (w *world) serveTCP(addr string, serve func(net.Conn)) {
	w.t.Helper()
	ln := w.listen(addr)
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]struct{}{}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = struct{}{}
			mu.Unlock()
			wg.Go(func() {
				serve(c)
				_ = c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	w.t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// listen listens in the server's namespace.
func (w *world) listen(addr string) net.Listener {
	w.t.Helper()
	ln, err := w.top.Server.Listen(context.Background(), nil, "tcp", addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return ln
}

// serveHTTP runs an HTTP origin in the server's namespace; with a certificate it
// speaks TLS.
func (w *world) serveHTTP(addr string, h http.HandlerFunc, cert ...tls.Certificate) {
	w.t.Helper()
	ln := w.listen(addr)
	if len(cert) > 0 {
		ln = tls.NewListener(ln, &tls.Config{Certificates: cert, MinVersion: tls.VersionTLS12})
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln)
	}()
	w.t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
}

// named is an origin that says who it is and whom it saw.
func named(name string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		rw.Header().Set("x-origin", name)
		rw.Header().Set("x-client", host)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(rw, "hello from "+name+"\n")
	}
}

// client is an HTTP client in the client's namespace. It believes that it talks
// to the server itself.
func (w *world) client(roots ...*x509.CertPool) *http.Client {
	tr := &http.Transport{
		DialContext:         w.top.Client.DialContext(&net.Dialer{Timeout: patience}),
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
	}
	if len(roots) > 0 {
		tr.TLSClientConfig = &tls.Config{RootCAs: roots[0], MinVersion: tls.VersionTLS12}
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

// clientTransport is the transport that client made.
func clientTransport(c *http.Client) *http.Transport { return c.Transport.(*http.Transport) }

// reply is what a request came back with.
type reply struct {
	code         int
	header       http.Header
	body         string
	origin, seen string // who answered, and the client that it saw
	closes       bool   // connection: close
}

func replyOf(resp *http.Response, body []byte) reply {
	h := resp.Header
	return reply{resp.StatusCode, h, string(body), h.Get("x-origin"), h.Get("x-client"), resp.Close}
}

// get sends a request for a URL.
func get(c *http.Client, url string) (reply, error) {
	resp, err := c.Get(url)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return replyOf(resp, b), err
}

// mustGet is get where nothing may go wrong.
func (w *world) mustGet(c *http.Client, url string) reply {
	w.t.Helper()
	r, err := get(c, url)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// A line is a connection whose bytes a test writes and reads itself.
type line struct {
	*net.TCPConn
	w *world
	r *bufio.Reader
}

// dial connects from the client's namespace; every wait on it is bounded.
func (w *world) dial(addr string) *line {
	w.t.Helper()
	l, err := w.tryDial(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *world) tryDial(addr string) (*line, error) {
	c, err := w.top.Client.Dial(context.Background(), &net.Dialer{Timeout: patience}, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(4 * patience))
	w.t.Cleanup(func() { _ = c.Close() })
	return &line{TCPConn: c.(*net.TCPConn), w: w, r: bufio.NewReader(c)}, nil
}

// send writes a text.
func (l *line) send(text string) {
	l.w.t.Helper()
	if _, err := io.WriteString(l, text); err != nil {
		l.w.t.Fatal(err)
	}
}

// expect reads as many bytes as text has, and compares them.
func (l *line) expect(text string) {
	l.w.t.Helper()
	b := make([]byte, len(text))
	n, err := io.ReadFull(l.r, b)
	if err != nil || string(b) != text {
		l.w.t.Fatalf("read %q, %v; want %q", b[:n], err, text)
	}
}

// response reads one HTTP response.
func (l *line) response(method string) reply {
	l.w.t.Helper()
	resp, err := http.ReadResponse(l.r, &http.Request{Method: method})
	if err != nil {
		l.w.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.w.t.Fatal(err)
	}
	return replyOf(resp, b)
}

// ended reads the end of the connection: clean, or reset.
func (l *line) ended() (reset bool) {
	l.w.t.Helper()
	b, err := io.ReadAll(l.r)
	switch {
	case errors.Is(err, unix.ECONNRESET):
		return true
	case err != nil || len(b) > 0:
		l.w.t.Fatalf("wanted the end, read %q, %v", tail(string(b), 200), err)
	}
	return false
}

// reset closes a connection with RST.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// readHead reads an HTTP head as its bytes are.
func readHead(r *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		s, err := r.ReadString('\n')
		head.WriteString(s)
		if err != nil || s == "\r\n" {
			return head.String(), err
		}
	}
}

// certificate makes one for the names, the pool that trusts it, and writes
// NAME.crt and NAME.key into the test's directory, NAME being the first.
func (w *world) certificate(names ...string) (tls.Certificate, *x509.CertPool) {
	w.t.Helper()
	fatal := func(err error) {
		if err != nil {
			w.t.Helper()
			w.t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	fatal(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	fatal(os.WriteFile(filepath.Join(w.dir, names[0]+".crt"), certPEM, 0o600))
	fatal(os.WriteFile(filepath.Join(w.dir, names[0]+".key"), keyPEM, 0o600))
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	fatal(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return cert, pool
}
