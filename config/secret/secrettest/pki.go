// Package secrettest makes certificates for tests: authorities, leaves of every kind, and revocation lists.
package secrettest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// Now is when all certificates of this package are good: they are from an hour before until an hour after the program's start.
var Now = time.Now()

// A Pair is a certificate with its key.
type Pair struct {
	Leaf  *x509.Certificate
	Key   crypto.Signer
	Above []*Pair // its issuers that a server sends along, the nearest first
}

// An Option changes a certificate before it is signed.
type Option func(*x509.Certificate)

// DNS gives it host names.
func DNS(names ...string) Option { return func(c *x509.Certificate) { c.DNSNames = names } }

// URI gives it URIs.
func URI(uris ...string) Option {
	return func(c *x509.Certificate) {
		for _, u := range uris {
			p, _ := url.Parse(u)
			c.URIs = append(c.URIs, p)
		}
	}
}

// With changes it in any way.
func With(f func(*x509.Certificate)) Option { return f }

// Expired lets it end a minute ago.
func Expired() Option {
	return func(c *x509.Certificate) { c.NotAfter = Now.Add(-time.Minute) }
}

// CA makes a self-signed authority.
func CA(t testing.TB, name string) *Pair {
	t.Helper()
	return sign(t, nil, newECDSA(t), authority(name))
}

// Intermediate makes an authority below another.
func (p *Pair) Intermediate(t testing.TB, name string) *Pair {
	t.Helper()
	c := sign(t, p, newECDSA(t), authority(name))
	c.Above = []*Pair{c}
	return c
}

func authority(name string) *x509.Certificate {
	c := template(name)
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return c
}

// Issue makes a leaf with an ECDSA key, good for servers and clients.
func (p *Pair) Issue(t testing.TB, name string, opts ...Option) *Pair {
	t.Helper()
	return p.issue(t, newECDSA(t), name, opts)
}

// IssueRSA makes one with an RSA key.
func (p *Pair) IssueRSA(t testing.TB, name string, opts ...Option) *Pair {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return p.issue(t, k, name, opts)
}

// IssueEd25519 makes one with an Ed25519 key.
func (p *Pair) IssueEd25519(t testing.TB, name string, opts ...Option) *Pair {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return p.issue(t, k, name, opts)
}

func (p *Pair) issue(t testing.TB, k crypto.Signer, name string, opts []Option) *Pair {
	c := template(name)
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, o := range opts {
		o(c)
	}
	l := sign(t, p, k, c)
	l.Above = p.Above
	return l
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 96))
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Weir"}},
		NotBefore:    Now.Add(-time.Hour), NotAfter: Now.Add(time.Hour),
	}
}

func newECDSA(t testing.TB) crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, by *Pair, k crypto.Signer, c *x509.Certificate) *Pair {
	t.Helper()
	issuer, signer := c, k
	if by != nil {
		issuer, signer = by.Leaf, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, k.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Pair{Leaf: leaf, Key: k}
}

// CRL makes a revocation list of the authority.
func (p *Pair) CRL(t testing.TB, revoked ...*Pair) string {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: Now.Add(-time.Hour), NextUpdate: Now.Add(time.Hour)}
	for _, r := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.Leaf.SerialNumber, RevocationTime: Now.Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, p.Leaf, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return text("X509 CRL", der)
}

// Cert is the certificate, with those of the intermediate authorities after it, as PEM.
func (p *Pair) Cert() string {
	s := text("CERTIFICATE", p.Leaf.Raw)
	for _, a := range p.Above {
		if a != p {
			s += text("CERTIFICATE", a.Leaf.Raw)
		}
	}
	return s
}

// PrivateKey is the key as PEM (PKCS #8).
func (p *Pair) PrivateKey() string {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		panic(err)
	}
	return text("PRIVATE KEY", der)
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
