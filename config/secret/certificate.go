package secret

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/fielderr"
)

// A Certificate is the compiled TlsCertificate: a chain with the private key of its leaf.
type Certificate struct {
	Leaf    *x509.Certificate
	Chain   [][]byte // DER, the leaf first
	Key     Key
	Staple  *Staple // the OCSP response; nil when there is none
	Sources Sources
}

// DecodeCertificate compiles a TlsCertificate, and records what is wrong; nil when the chain or the key cannot be used. An expired
// certificate is no mistake: the clock may be wrong, and the peer judges.
func DecodeCertificate(l *fielderr.List, path string, p *tlsv3.TlsCertificate) *Certificate {
	before := l.Len()
	r := reader{l: l}
	r.watch(p.GetWatchedDirectory())
	c := &Certificate{}
	if p.GetPassword() != nil {
		l.Addf(path+".password", "not supported: decrypt private_key")
	}
	if p.GetPkcs12() != nil {
		l.Addf(path+".pkcs12", "not supported: use certificate_chain and private_key")
	}
	if p.GetPrivateKeyProvider() != nil {
		l.Addf(path+".private_key_provider", "not supported: use private_key")
	}
	if b, ok := r.read(path+".certificate_chain", p.GetCertificateChain()); ok {
		c.Leaf, c.Chain = parseChain(l, path+".certificate_chain", b)
	}
	if b, ok := r.read(path+".private_key", p.GetPrivateKey()); ok {
		if k := parseKey(l, path+".private_key", b); k != nil {
			c.Key = Key{p: &k}
		}
	}
	if l.Len() == before && !fits(c.Leaf.PublicKey, c.Key.Reveal()) {
		l.Addf(path+".private_key", "is not the key of the first certificate in certificate_chain")
	}
	if p.GetOcspStaple() != nil {
		c.readStaple(&r, path+".ocsp_staple", p.GetOcspStaple())
	}
	c.Sources = r.Sources
	if l.Len() > before {
		return nil
	}
	return c
}

func parseChain(l *fielderr.List, path string, b []byte) (leaf *x509.Certificate, chain [][]byte) {
	all := parseCertificates(l, path, b)
	for _, c := range all {
		chain = append(chain, c.Raw)
	}
	if len(all) == 0 {
		return nil, nil
	}
	switch all[0].PublicKey.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		l.Addf(path, "first certificate: its key is neither RSA, ECDSA nor Ed25519")
	}
	return all[0], chain
}

// parseCertificates reads the CERTIFICATE blocks of a PEM text; there must be one.
func parseCertificates(l *fielderr.List, path string, b []byte) (all []*x509.Certificate) {
	before := l.Len()
	for i, blk := range blocks(b, "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE") {
		c, err := x509.ParseCertificate(blk.Bytes)
		if err != nil {
			l.Addf(path, "certificate %d: %w", i+1, err)
			continue
		}
		all = append(all, c)
	}
	if len(all) == 0 && l.Len() == before {
		l.Addf(path, "no PEM certificate in it")
	}
	return all
}

// blocks gives the PEM blocks of the types.
func blocks(b []byte, types ...string) (out []*pem.Block) {
	for {
		var blk *pem.Block
		if blk, b = pem.Decode(b); blk == nil {
			return out
		}
		for _, t := range types {
			if blk.Type == t {
				out = append(out, blk)
			}
		}
	}
}

// parseKey reads the first private key of a PEM text: PKCS #8, PKCS #1 or SEC 1. Its errors do not say what they found.
func parseKey(l *fielderr.List, path string, b []byte) crypto.Signer {
	for rest := b; ; {
		var blk *pem.Block
		if blk, rest = pem.Decode(rest); blk == nil {
			l.Addf(path, "no PEM private key in it")
			return nil
		}
		if !strings.HasSuffix(blk.Type, "PRIVATE KEY") {
			continue
		}
		if blk.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(blk.Headers["Proc-Type"], "ENCRYPTED") {
			l.Addf(path, "the key is encrypted, which is not supported: decrypt it")
			return nil
		}
		k, err := parseKeyDER(blk.Bytes)
		if err != nil {
			l.Addf(path, "%s that cannot be read", strings.ToLower(blk.Type))
			return nil
		}
		switch k := k.(type) {
		case *rsa.PrivateKey:
			return k
		case *ecdsa.PrivateKey:
			return k
		case ed25519.PrivateKey:
			return k
		}
		l.Addf(path, "the key is neither RSA, ECDSA nor Ed25519")
		return nil
	}
}

func parseKeyDER(der []byte) (any, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return x509.ParsePKCS8PrivateKey(der)
}

// fits tells whether the private key is the public one's.
func fits(pub any, k crypto.Signer) bool {
	p, ok := k.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && p.Equal(pub)
}

func (c *Certificate) readStaple(r *reader, path string, d *corev3.DataSource) {
	b, ok := r.read(path, d)
	if !ok {
		return
	}
	var err error
	if c.Staple, err = parseStaple(b, c.Leaf); err != nil {
		r.l.Add(path, err)
	}
}
