package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Cert is a self-signed certificate with its key in files.
type Cert struct {
	CertFile, KeyFile string
	TLS               tls.Certificate
	Pool              *x509.CertPool // trusts it
}

// Certificate makes a certificate for names and IP addresses.
func Certificate(t testing.TB, names ...string) *Cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &Cert{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), Pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for file, b := range map[string][]byte{c.CertFile: certPEM, c.KeyFile: keyPEM} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c.TLS, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	c.Pool.AppendCertsFromPEM(certPEM)
	return c
}

// Downstream writes the transport socket of a filter chain with the certificate;
// more are further fields of the CommonTlsContext, such as "alpn_protocols: [h2]".
func (c *Cert) Downstream(more string) string {
	if more != "" {
		more = ", " + more
	}
	return fmt.Sprintf("{name: tls, typed_config: {$downstream_tls, common_tls_context: {tls_certificates: [{certificate_chain: {filename: %q}, private_key: {filename: %q}}]%s}}}",
		c.CertFile, c.KeyFile, more)
}

// Upstream writes the transport socket of a cluster that trusts the certificate and
// asks for the server by name; more are further fields of the CommonTlsContext.
func (c *Cert) Upstream(name, more string) string {
	if more != "" {
		more = ", " + more
	}
	return fmt.Sprintf("{name: tls, typed_config: {$upstream_tls, sni: %s, common_tls_context: {validation_context: {trusted_ca: {filename: %q}}%s}}}",
		name, c.CertFile, more)
}

// Client is the configuration of a client that trusts the certificate.
func (c *Cert) Client(name string, alpn ...string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: c.Pool, NextProtos: alpn, MinVersion: tls.VersionTLS12}
}

// Server is the configuration of a server that has the certificate.
func (c *Cert) Server(alpn ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.TLS}, NextProtos: alpn, MinVersion: tls.VersionTLS12}
}
