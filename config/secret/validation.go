package secret

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/fielderr"
)

// A Validation is the compiled CertificateValidationContext: whom to trust.
type Validation struct {
	Roots       []*x509.Certificate // trusted_ca; nil when unset: then nobody's chain is verified, unless …
	SystemRoots bool                // … system_root_certs is set
	CRLs        []*x509.RevocationList
	CRLSet      bool // crl is set, beside what trusted_ca has of them
	LeafCRLOnly bool // only_verify_leaf_cert_crl

	SANs   []SANMatcher // one must match, unless there is none
	SPKI   []Hash       // SHA-256 of the public key, and …
	Hashes []Hash       // … of the certificate: one of both must match, unless there is none

	MaxDepth        int // max_verify_depth: certificates above the leaf, the trust anchor included; negative when unset
	AllowExpired    bool
	AcceptUntrusted bool // trust_chain_verification: ACCEPT_UNTRUSTED
	HideCAs         bool // suppress_client_ca_list

	Sources Sources
}

// A Hash is a SHA-256.
type Hash [sha256.Size]byte

// VerifiesChain tells whether the peer's chain must lead to a trusted authority.
func (v *Validation) VerifiesChain() bool { return v != nil && (v.Roots != nil || v.SystemRoots) }

// Pins tells whether the peer's certificate or key must be one that is listed.
func (v *Validation) Pins() bool { return v != nil && len(v.SPKI)+len(v.Hashes) > 0 }

// DecodeValidation compiles a CertificateValidationContext, and records what is wrong. It is never nil.
func DecodeValidation(l *fielderr.List, path string, p *tlsv3.CertificateValidationContext) *Validation {
	v := decodePart(l, path, p)
	v.check(l, path)
	return v
}

// DecodeDefaultValidation does so for the default of a combined context, which what comes by discovery makes whole.
func DecodeDefaultValidation(l *fielderr.List, path string, p *tlsv3.CertificateValidationContext) *Validation {
	return decodePart(l, path, p)
}

// check refuses names that nobody vouches for.
func (v *Validation) check(l *fielderr.List, path string) {
	if len(v.SANs) > 0 && !v.VerifiesChain() {
		l.Addf(path+".match_typed_subject_alt_names", "needs trusted_ca: anyone can write a name into a certificate")
	}
}

func decodePart(l *fielderr.List, path string, p *tlsv3.CertificateValidationContext) *Validation {
	r := reader{l: l}
	r.watch(p.GetWatchedDirectory())
	v := &Validation{
		LeafCRLOnly:     p.GetOnlyVerifyLeafCertCrl(),
		MaxDepth:        -1,
		AllowExpired:    p.GetAllowExpiredCertificate(),
		AcceptUntrusted: p.GetTrustChainVerification() == tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED,
		HideCAs:         p.GetSuppressClientCaList(),
	}
	if d := p.GetTrustedCa(); d != nil {
		if b, ok := r.read(path+".trusted_ca", d); ok {
			v.Roots = parseCertificates(l, path+".trusted_ca", b)
			v.CRLs = parseCRLs(l, path+".trusted_ca", b)
		}
	} else {
		v.SystemRoots = p.GetSystemRootCerts() != nil
	}
	if d := p.GetCrl(); d != nil {
		v.CRLSet = true
		if b, ok := r.read(path+".crl", d); ok {
			crls := parseCRLs(l, path+".crl", b)
			if crls == nil {
				l.Addf(path+".crl", "no PEM revocation list in it")
			}
			v.CRLs = append(v.CRLs, crls...)
		}
	}
	if d := p.GetMaxVerifyDepth(); d != nil {
		v.MaxDepth = int(min(d.GetValue(), 100))
	}
	v.SANs = decodeSANs(l, path, p)
	for i, s := range p.GetVerifyCertificateSpki() {
		h, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(h) != len(Hash{}) {
			l.Addf(fielderr.Index(path+".verify_certificate_spki", i), "want a SHA-256 in base64")
			continue
		}
		v.SPKI = append(v.SPKI, Hash(h))
	}
	for i, s := range p.GetVerifyCertificateHash() {
		h, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
		if err != nil || len(h) != len(Hash{}) {
			l.Addf(fielderr.Index(path+".verify_certificate_hash", i), "want a SHA-256 in hexadecimal digits, with or without colons")
			continue
		}
		v.Hashes = append(v.Hashes, Hash(h))
	}
	v.refuse(l, path, p)
	v.Sources = r.Sources
	return v
}

// refuse names what would trust others than was meant, were it ignored.
func (v *Validation) refuse(l *fielderr.List, path string, p *tlsv3.CertificateValidationContext) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"require_signed_certificate_timestamp", p.GetRequireSignedCertificateTimestamp().GetValue()},
		{"custom_validator_config", p.GetCustomValidatorConfig() != nil},
		{"ca_certificate_provider_instance", p.GetCaCertificateProviderInstance() != nil},
	} {
		if f.set {
			l.Addf(path+"."+f.name, "not supported")
		}
	}
}

// parseCRLs reads the X509 CRL blocks of a PEM text.
func parseCRLs(l *fielderr.List, path string, b []byte) (all []*x509.RevocationList) {
	for i, blk := range blocks(b, "X509 CRL") {
		c, err := x509.ParseRevocationList(blk.Bytes)
		if err != nil {
			l.Addf(path, "revocation list %d: %w", i+1, err)
			continue
		}
		all = append(all, c)
	}
	return all
}

// Merge is what a combined_validation_context means: v is its default, and d what came by discovery. As protos merge: what d sets of
// single values holds, lists are joined, and booleans are true when either is. The error says why nobody may be trusted by it.
func (v *Validation) Merge(d *Validation) (*Validation, error) {
	m := *v
	if d != nil {
		if d.Roots != nil {
			m.Roots, m.CRLs = d.Roots, nil
			if !d.CRLSet && v.CRLSet {
				m.CRLs = v.CRLs
			}
		}
		if d.CRLSet {
			m.CRLs = nil
		}
		m.CRLs = append(slices.Clip(m.CRLs), d.CRLs...)
		m.CRLSet = v.CRLSet || d.CRLSet
		m.SystemRoots = (v.SystemRoots || d.SystemRoots) && m.Roots == nil
		m.LeafCRLOnly = v.LeafCRLOnly || d.LeafCRLOnly
		m.SANs = append(slices.Clip(v.SANs), d.SANs...)
		m.SPKI = append(slices.Clip(v.SPKI), d.SPKI...)
		m.Hashes = append(slices.Clip(v.Hashes), d.Hashes...)
		if d.MaxDepth >= 0 {
			m.MaxDepth = d.MaxDepth
		}
		m.AllowExpired = v.AllowExpired || d.AllowExpired
		m.AcceptUntrusted = v.AcceptUntrusted || d.AcceptUntrusted
		m.HideCAs = v.HideCAs || d.HideCAs
		m.Sources.Files, m.Sources.WatchedDirs = slices.Clone(v.Sources.Files), slices.Clone(v.Sources.WatchedDirs)
		m.Sources.Add(d.Sources)
	}
	var l fielderr.List
	m.check(&l, "default_validation_context")
	if err := l.Err(); err != nil {
		return nil, fmt.Errorf("combined_validation_context: %w", err)
	}
	return &m, nil
}
