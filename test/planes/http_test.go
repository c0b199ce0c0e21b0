package planes

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An origin is a server behind Weir that says its name.
type origin struct {
	port     string
	requests atomic.Int64
	failing  atomic.Int64 // how many requests from now on get a 503
	slow     atomic.Int64 // nanoseconds before an answer
}

func newOrigin(t *testing.T, name string) *origin {
	t.Helper()
	o := &origin{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, o.port, _ = net.SplitHostPort(l.Addr().String())
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		if d := time.Duration(o.slow.Load()); d > 0 {
			limit := time.NewTimer(d)
			defer limit.Stop()
			select {
			case <-limit.C:
			case <-r.Context().Done():
				return
			}
		}
		if o.failing.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, name)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return o
}

// A client asks at one address for any host.
type client struct {
	c  http.Client
	at string
}

func newClient(t *testing.T, at string, roots *x509.CertPool) *client {
	t.Helper()
	tr := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{at: at, c: http.Client{
		Transport: tr, Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response in short.
type answer struct {
	status   int
	body     string
	location string
	h2       bool
}

// get asks for url with headers in pairs. An answer without a status is an error.
func (c *client) get(url string, headers ...string) answer {
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{body: err.Error()}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	r, err := c.c.Do(q)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return answer{r.StatusCode, strings.TrimSpace(string(b)), r.Header.Get("location"), r.ProtoMajor == 2}
}

// share is how many of n answers have the body, in hundredths.
func (c *client) share(n int, body, url string) int {
	got := 0
	for range n {
		if c.get(url).body == body {
			got++
		}
	}
	return got * 100 / n
}

// A pair is a certificate for a name, and its key, in PEM.
type pair struct{ cert, key string }

func newPair(t *testing.T, name string) (pair, *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(p.cert))
	return p, pool
}
