package tlsctx

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirproxy/weir/config/secret"
)

// Why says in what way a peer's certificate is not good enough.
type Why uint8

// The ways, as Envoy counts them.
const (
	NoCertificate Why = iota + 1
	Untrusted         // the chain leads to nobody who is trusted, is expired or revoked
	WrongName         // no subject alternative name is one of those that are wanted
	WrongHash         // neither the certificate nor its key is one of those that are listed
	WrongUsage        // its keyUsage forbids what it was used for
)

// A VerifyError is a peer's certificate that is not good enough.
type VerifyError struct {
	Why Why
	Err error
}

// Error implements error.
func (e *VerifyError) Error() string { return "verify peer certificate: " + e.Err.Error() }

// Unwrap gives the reason.
func (e *VerifyError) Unwrap() error { return e.Err }

func refused(why Why, format string, args ...any) error {
	return &VerifyError{why, fmt.Errorf(format, args...)}
}

// A Verifier decides whether a peer is to be trusted. It is immutable.
type Verifier struct {
	v     *secret.Validation
	roots *x509.CertPool
	crls  map[string][]*crl // by the issuer's name
	usage x509.ExtKeyUsage
}

// NewVerifier makes a Verifier of peers that are servers or clients. A nil v trusts everybody.
func NewVerifier(v *secret.Validation, usage x509.ExtKeyUsage) (*Verifier, error) {
	if v == nil {
		return nil, nil
	}
	f := &Verifier{v: v, usage: usage}
	switch {
	case v.Roots != nil:
		f.roots = x509.NewCertPool()
		for _, c := range v.Roots {
			f.roots.AddCert(f.dateless(c))
		}
	case v.SystemRoots:
		var err error
		if f.roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("system_root_certs: %w", err)
		}
	}
	f.crls = indexCRLs(v.CRLs)
	return f, nil
}

// Asks tells whether clients are asked for a certificate though they need not have one.
func (f *Verifier) Asks() bool {
	return f != nil && (f.v.VerifiesChain() || f.v.Pins() || f.v.AcceptUntrusted)
}

// Verify judges a chain, the leaf first. names, when there are any, take the place of the configured ones. validated says that
// something was checked, so that what the certificate says may be believed.
func (f *Verifier) Verify(chain []*x509.Certificate, now time.Time, names []secret.SANMatcher) (validated bool, err error) {
	if f == nil {
		if len(names) > 0 && len(chain) > 0 && !matchSAN(chain[0], names) {
			return false, refused(WrongName, "no subject alternative name of %q is wanted", chain[0].Subject)
		}
		return false, nil
	}
	if len(chain) == 0 {
		return false, refused(NoCertificate, "none was presented")
	}
	leaf := chain[0]
	if f.roots != nil {
		if err := f.verifyChain(chain, now); err == nil {
			validated = true
		} else if !f.v.AcceptUntrusted {
			return false, &VerifyError{Untrusted, err}
		}
	}
	if len(names) == 0 {
		names = f.v.SANs
	}
	if len(names) > 0 && !matchSAN(leaf, names) {
		return false, refused(WrongName, "no subject alternative name of %q is wanted", leaf.Subject)
	}
	if f.v.Pins() {
		if !slices.Contains(f.v.Hashes, secret.Hash(sha256.Sum256(leaf.Raw))) &&
			!slices.Contains(f.v.SPKI, secret.Hash(sha256.Sum256(leaf.RawSubjectPublicKeyInfo))) {
			return false, refused(WrongHash, "%q is not listed", leaf.Subject)
		}
		validated = true
	}
	return validated, nil
}

// verifyChain looks for a way from the leaf to a trusted authority that nothing speaks against.
func (f *Verifier) verifyChain(chain []*x509.Certificate, now time.Time) error {
	o := x509.VerifyOptions{Roots: f.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{f.usage}}
	if len(chain) > 1 {
		o.Intermediates = x509.NewCertPool()
		for _, c := range chain[1:] {
			o.Intermediates.AddCert(f.dateless(c))
		}
	}
	ways, err := f.dateless(chain[0]).Verify(o)
	if err != nil {
		return err
	}
	for _, way := range ways {
		if err = f.judge(way, now); err == nil {
			return nil
		}
	}
	return err
}

func (f *Verifier) judge(way []*x509.Certificate, now time.Time) error {
	if d := f.v.MaxDepth; d >= 0 && len(way)-1 > d {
		return fmt.Errorf("%d certificates above the first, max_verify_depth is %d", len(way)-1, d)
	}
	if len(f.crls) == 0 {
		return nil
	}
	if f.v.LeafCRLOnly {
		return f.revoked(way[0], issuerIn(way, 0), now)
	}
	for i := range way {
		if err := f.revoked(way[i], issuerIn(way, i), now); err != nil {
			return err
		}
	}
	return nil
}

// issuerIn gives the issuer of the i-th certificate of a way: the next, and of the trust anchor itself when it signed itself; nil when
// it did not, for then nobody knows it.
func issuerIn(way []*x509.Certificate, i int) *x509.Certificate {
	if i+1 < len(way) {
		return way[i+1]
	}
	if string(way[i].RawIssuer) == string(way[i].RawSubject) {
		return way[i]
	}
	return nil
}

// dateless is c as it is to be verified: without its dates when those do not count (allow_expired_certificate).
func (f *Verifier) dateless(c *x509.Certificate) *x509.Certificate {
	if !f.v.AllowExpired {
		return c
	}
	d := *c
	d.NotBefore, d.NotAfter = time.Unix(0, 0), time.Unix(1<<40, 0)
	return &d
}

// keyUsage refuses a server whose certificate may not do what it did (RFC 5280 §4.2.1.3; Envoy: enforce_rsa_key_usage, always on).
func keyUsage(cs *tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	leaf := cs.PeerCertificates[0]
	if _, ok := leaf.PublicKey.(*rsa.PublicKey); !ok || leaf.KeyUsage == 0 {
		return nil
	}
	want := x509.KeyUsageDigitalSignature
	switch cs.CipherSuite {
	case tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA:
		want = x509.KeyUsageKeyEncipherment
	}
	if leaf.KeyUsage&want == 0 {
		return &VerifyError{WrongUsage, errors.New("keyUsage forbids it")}
	}
	return nil
}
