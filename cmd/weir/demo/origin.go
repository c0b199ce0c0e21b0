package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// The origins: what listens on the server, by port.
const (
	portDirect = 80   // reached only when nothing intercepts
	portTLS    = 443  // speaks TLS itself, for www.demo.test
	portV1     = 8081 // version 1
	portV2a    = 8082 // version 2, two hosts
	portV2b    = 8083
)

// An origin is a built-in HTTP server that says who it is and who asked.
type origin struct {
	name  string
	srv   *http.Server
	count atomic.Int64
	delay atomic.Int64 // nanoseconds before each answer
	fail  atomic.Bool  // answers 500
}

type origins struct {
	direct, tls, v1, v2a, v2b *origin
	certs                     *x509.CertPool
}

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	o.count.Add(1)
	if d := time.Duration(o.delay.Load()); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	h := rw.Header()
	h.Set("x-origin", o.name)
	h.Set("x-client", host)
	if o.fail.Load() {
		http.Error(rw, "broken on purpose", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(rw, "hello from", o.name)
}

func (w *world) startOrigins(ctx context.Context) error {
	cert, pool, err := selfSigned("www.demo.test")
	if err != nil {
		return err
	}
	w.origins.certs = pool
	for _, x := range []struct {
		to   **origin
		name string
		port int
	}{
		{&w.origins.direct, "direct", portDirect},
		{&w.origins.tls, "tls", portTLS},
		{&w.origins.v1, "v1", portV1},
		{&w.origins.v2a, "v2", portV2a},
		{&w.origins.v2b, "v2", portV2b},
	} {
		o := &origin{name: x.name}
		o.srv = &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second}
		*x.to = o
		ln, err := w.top.Server.Listen(ctx, &net.ListenConfig{}, "tcp4", net.JoinHostPort(w.top.ServerAddr4().String(), strconv.Itoa(x.port)))
		if err != nil {
			return fmt.Errorf("origin %s: %w", x.name, err)
		}
		if x.port == portTLS {
			ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
		}
		w.wg.Go(func() {
			if err := o.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) && w.o.Debug != nil {
				fmt.Fprintln(w.o.Debug, "origin", o.name, err)
			}
		})
	}
	return nil
}

func (o *origins) close() {
	for _, x := range []*origin{o.direct, o.tls, o.v1, o.v2a, o.v2b} {
		if x != nil && x.srv != nil {
			_ = x.srv.Close()
		}
	}
}

// selfSigned makes a certificate for a name and a pool that trusts it.
func selfSigned(name string) (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, nil
}
