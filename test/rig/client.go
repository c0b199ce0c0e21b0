package rig

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// patience bounds everything that a test waits for.
const patience = 20 * time.Second

// An Answer is a response, read whole.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Do sends a request: method, path, and pairs of header names and values; "Host"
// sets the host.
func (r *Rig) Do(c *http.Client, method, path string, headers ...string) Answer {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.Addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, string(b)}
}

// Client gives an HTTP/1 client with connections of its own, which follows no
// redirects.
func Client(t testing.TB) *http.Client {
	return client(t, &http.Transport{DisableCompression: true})
}

// ClientH2C gives a client of HTTP/2 with prior knowledge.
func ClientH2C(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return client(t, tr)
}

// ClientTLS gives a client that trusts a certificate and knows its server by name;
// it offers HTTP/2 alone, or HTTP/1.1 alone.
func ClientTLS(t testing.TB, cert *Cert, name string, http2 bool) *http.Client {
	tr := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols), TLSClientConfig: cert.Client(name)}
	tr.Protocols.SetHTTP2(http2)
	tr.Protocols.SetHTTP1(!http2)
	return client(t, tr)
}

func client(t testing.TB, tr *http.Transport) *http.Client {
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Dial connects to the rig's first listener.
func (r *Rig) Dial() *net.TCPConn {
	r.t.Helper()
	return Dial(r.t, r.Addr)
}

// Dial connects to an address, with a deadline for everything that follows.
func Dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}
