package secret_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

func file(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: s}}
}

func certificate(chain, key string) *tlsv3.Secret {
	return &tlsv3.Secret{Name: "c", Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(chain), PrivateKey: inline(key)},
	}}
}

func validation(v *tlsv3.CertificateValidationContext) *tlsv3.Secret {
	return &tlsv3.Secret{Name: "v", Type: &tlsv3.Secret_ValidationContext{ValidationContext: v}}
}

func TestKeysOfEveryKind(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	ec, rsa := ca.Issue(t, "ec"), ca.IssueRSA(t, "rsa")
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey(t, rsa))})
	sec1DER, err := x509.MarshalECPrivateKey(ecKey(t, ec))
	if err != nil {
		t.Fatal(err)
	}
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1DER})
	ed := ca.IssueEd25519(t, "ed")
	for name, s := range map[string]*tlsv3.Secret{
		"EC PKCS #8":      certificate(ec.Cert(), ec.PrivateKey()),
		"EC SEC 1":        certificate(ec.Cert(), "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"+string(sec1)),
		"RSA PKCS #1":     certificate(rsa.Cert(), string(pkcs1)),
		"RSA PKCS #8":     certificate(rsa.Cert(), rsa.PrivateKey()),
		"Ed25519 PKCS #8": certificate(ed.Cert(), ed.PrivateKey()),
	} {
		m, err := secret.Decode(s, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Kind() != "tls_certificate" || m.Certificate.Key.Reveal() == nil || len(m.Certificate.Chain) != 1 {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestMistakesByPath(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	a, b := ca.Issue(t, "a"), ca.Issue(t, "b")
	enc := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	exact := func(s string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
	}
	withPassword := certificate(a.Cert(), a.PrivateKey())
	withPassword.GetTlsCertificate().Password = inline("p")
	for _, c := range []struct {
		name string
		s    *tlsv3.Secret
		want string
	}{
		{"nothing", &tlsv3.Secret{Name: "x"}, "tls_certificate, validation_context"},
		{"no chain", certificate("", a.PrivateKey()), "tls_certificate.certificate_chain.inline_string: empty"},
		{"not PEM", certificate("hello", a.PrivateKey()), "tls_certificate.certificate_chain: no PEM certificate in it"},
		{"no key", certificate(a.Cert(), "hello"), "tls_certificate.private_key: no PEM private key in it"},
		{"key of another", certificate(a.Cert(), b.PrivateKey()), "tls_certificate.private_key: is not the key of the first certificate"},
		{"encrypted", certificate(a.Cert(), enc), "tls_certificate.private_key: the key is encrypted"},
		{"broken key", certificate(a.Cert(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "private_key: private key that cannot be read"},
		{"password", withPassword, "tls_certificate.password: not supported"},
		{"no file", &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: file("/nonexistent/c"), PrivateKey: inline(a.PrivateKey()),
		}}}, "tls_certificate.certificate_chain.filename: open /nonexistent/c"},
		{"folder", &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: file("/"), PrivateKey: inline(a.PrivateKey()),
		}}}, "is a directory"},
		{"no variable", validation(&tlsv3.CertificateValidationContext{TrustedCa: &corev3.DataSource{
			Specifier: &corev3.DataSource_EnvironmentVariable{EnvironmentVariable: "WEIR_NOT_SET"},
		}}), `validation_context.trusted_ca.environment_variable: "WEIR_NOT_SET" is not set`},
		{"names without an authority", validation(&tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{
			{SanType: tlsv3.SubjectAltNameMatcher_DNS, Matcher: exact("a")},
		}}), "validation_context.match_typed_subject_alt_names: needs trusted_ca"},
		{"other name without type", validation(&tlsv3.CertificateValidationContext{TrustedCa: inline(ca.Cert()), MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{
			{SanType: tlsv3.SubjectAltNameMatcher_OTHER_NAME, Matcher: exact("a")},
		}}), "match_typed_subject_alt_names[0].oid"},
		{"hash", validation(&tlsv3.CertificateValidationContext{VerifyCertificateHash: []string{"abc"}}), "verify_certificate_hash[0]: want a SHA-256"},
		{"spki", validation(&tlsv3.CertificateValidationContext{VerifyCertificateSpki: []string{"abc"}}), "verify_certificate_spki[0]: want a SHA-256"},
		{"timestamps", validation(&tlsv3.CertificateValidationContext{RequireSignedCertificateTimestamp: wrapperspb.Bool(true)}), "require_signed_certificate_timestamp: not supported"},
		{"no list", validation(&tlsv3.CertificateValidationContext{TrustedCa: inline(ca.Cert()), Crl: inline("x")}), "crl: no PEM revocation list"},
		{"ticket keys", &tlsv3.Secret{Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{
			Keys: []*corev3.DataSource{inline("short")},
		}}}, "session_ticket_keys.keys[0]: 5 bytes, want 80"},
		{"no ticket keys", &tlsv3.Secret{Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{}}}, "session_ticket_keys.keys: empty"},
	} {
		_, err := secret.Decode(c.s, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestValidation(t *testing.T) {
	ca, ca2 := secrettest.CA(t, "ca"), secrettest.CA(t, "ca2")
	leaf := ca.Issue(t, "a")
	sum := sha256.Sum256(leaf.Leaf.Raw)
	spki := sha256.Sum256(leaf.Leaf.RawSubjectPublicKeyInfo)
	colons := strings.ToUpper(strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("% x", sum[:]), " ", ":"), ":"))
	m, err := secret.Decode(validation(&tlsv3.CertificateValidationContext{
		TrustedCa: inline(ca.Cert() + ca2.Cert() + ca.CRL(t)), Crl: inline(ca2.CRL(t)),
		VerifyCertificateHash: []string{hex.EncodeToString(sum[:]), colons},
		VerifyCertificateSpki: []string{base64.StdEncoding.EncodeToString(spki[:])},
		MaxVerifyDepth:        wrapperspb.UInt32(3),
		MatchSubjectAltNames:  []*matcherv3.StringMatcher{{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "spiffe://a/"}}},
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	v := m.Validation
	if len(v.Roots) != 2 || len(v.CRLs) != 2 || len(v.Hashes) != 2 || v.Hashes[0] != v.Hashes[1] || len(v.SPKI) != 1 || v.MaxDepth != 3 || len(v.SANs) != 1 {
		t.Errorf("%+v", v)
	}
	if !v.SANs[0].Match(&secret.SAN{Type: secret.URISAN, Value: "spiffe://a/b"}) {
		t.Error("deprecated matcher does not match a URI")
	}
}

func TestMerge(t *testing.T) {
	ca, ca2 := secrettest.CA(t, "ca"), secrettest.CA(t, "ca2")
	decode := func(p *tlsv3.CertificateValidationContext) *secret.Validation {
		m, err := secret.Decode(validation(p), nil)
		if err != nil {
			t.Fatal(err)
		}
		return m.Validation
	}
	def := decode(&tlsv3.CertificateValidationContext{TrustedCa: inline(ca.Cert()), Crl: inline(ca.CRL(t)), AllowExpiredCertificate: true, MaxVerifyDepth: wrapperspb.UInt32(2)})
	dyn := decode(&tlsv3.CertificateValidationContext{TrustedCa: inline(ca2.Cert()), OnlyVerifyLeafCertCrl: true})
	m, err := def.Merge(dyn)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Roots) != 1 || !bytes.Equal(m.Roots[0].Raw, ca2.Leaf.Raw) || len(m.CRLs) != 1 || !m.AllowExpired || !m.LeafCRLOnly || m.MaxDepth != 2 {
		t.Errorf("%+v", m)
	}
	san := &secret.Validation{SANs: []secret.SANMatcher{secret.ExactDNS("a")}, MaxDepth: -1}
	if _, err := san.Merge(dyn); err != nil {
		t.Errorf("names by default, authority by discovery: %v", err)
	}
	if _, err := san.Merge(nil); err == nil || !strings.Contains(err.Error(), "needs trusted_ca") {
		t.Errorf("names with no authority: %v", err)
	}
}

func TestSources(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.Issue(t, "a")
	dir := t.TempDir()
	crt, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for n, s := range map[string]string{crt: leaf.Cert(), key: leaf.PrivateKey()} {
		if err := os.WriteFile(n, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := secret.Decode(&tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: file(crt), PrivateKey: file(key), WatchedDirectory: &corev3.WatchedDirectory{Path: dir},
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (secret.Sources{Files: []string{crt, key}, WatchedDirs: []string{dir}}); !reflect.DeepEqual(m.Sources, want) {
		t.Errorf("%+v, want %+v", m.Sources, want)
	}
}

func TestMatchDNS(t *testing.T) {
	for _, c := range []struct {
		host, pattern string
		want          bool
	}{
		{"a.example.com", "a.example.com", true},
		{"A.example.com", "a.EXAMPLE.com", true},
		{"a.example.com", "*.example.com", true},
		{"example.com", "*.example.com", false},
		{"a.b.example.com", "*.example.com", false},
		{"foobar.example.com", "foo*.example.com", true},
		{"foobar.example.com", "*bar.example.com", true},
		{"foobar.example.com", "f*r.example.com", true},
		{"ab.example.com", "a*b*.example.com", false},
		{"a.b.com", "a.*.com", false},
		{"xn--abc.example.com", "xn--*.example.com", false},
		{"example", "*", false},
		{".example.com", "*.example.com", false},
		{"", "", true},
	} {
		if got := secret.MatchDNS(c.host, c.pattern); got != c.want {
			t.Errorf("MatchDNS(%q, %q) = %v", c.host, c.pattern, got)
		}
	}
}

func TestSANMatcherTypes(t *testing.T) {
	m := secret.SANMatcher{Type: secret.OtherSAN, OID: "1.2.3", Text: secret.ExactDNS("x").Text}
	if !m.Match(&secret.SAN{Type: secret.OtherSAN, OID: "1.2.3", Value: "x"}) || m.Match(&secret.SAN{Type: secret.OtherSAN, OID: "1.2.4", Value: "x"}) ||
		m.Match(&secret.SAN{Type: secret.DNSSAN, Value: "x"}) {
		t.Error("other names")
	}
}

// TestNothingPrintsASecret prints every model in every way.
func TestNothingPrintsASecret(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	rsa := ca.IssueRSA(t, "a")
	ed := ca.IssueEd25519(t, "b")
	words := strings.Repeat("WORDS-OF-A-SECRET---", 4) // 80 bytes
	for name, p := range map[string]*tlsv3.Secret{
		"RSA":     certificate(rsa.Cert(), rsa.PrivateKey()),
		"Ed25519": certificate(ed.Cert(), ed.PrivateKey()),
		"tickets": {Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{Keys: []*corev3.DataSource{inline(words)}}}},
		"generic": {Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{Secret: inline(words), Secrets: map[string]*corev3.DataSource{"k": inline(words)}}}},
	} {
		m, err := secret.Decode(p, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		needles := []string{words[:20], fmt.Sprintf("%x", words[:10]), fmt.Sprintf("%v", []byte(words[:10])), base64.StdEncoding.EncodeToString([]byte(words[:9]))}
		if c := m.Certificate; c != nil {
			der, _ := x509.MarshalPKCS8PrivateKey(c.Key.Reveal())
			tail := der[len(der)-24:]
			needles = append(needles, string(tail), fmt.Sprintf("%x", tail), fmt.Sprintf("%X", tail), strings.Trim(fmt.Sprint(tail), "[]"), base64.StdEncoding.EncodeToString(der[:24]))
		}
		holder := struct{ inner any }{m} // unexported: fmt calls no methods
		for _, v := range []any{m, *m, holder, &holder, m.Certificate, m.TicketKeys, m.Generic} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
				lookFor(t, name+" "+verb, fmt.Sprintf(verb, v), needles)
			}
			if b, err := json.Marshal(v); err == nil {
				lookFor(t, name+" json", string(b), needles)
			}
		}
		for _, b := range append(m.TicketKeys, m.Generic[""], m.Generic["k"]) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				if got := fmt.Sprintf(verb, b); got != "[redacted]" {
					t.Errorf("%s of Bytes is %q", verb, got)
				}
			}
		}
	}
	k := secret.NewBytes([]byte("abc"))
	if b, _ := json.Marshal(k); string(b) != `"[redacted]"` {
		t.Errorf("json: %s", b)
	}
	if b, _ := k.MarshalText(); string(b) != "[redacted]" || k.String() != "[redacted]" || k.GoString() != "[redacted]" {
		t.Error("text")
	}
	if string(k.Reveal()) != "abc" || k.Len() != 3 {
		t.Error("Reveal")
	}
}

func lookFor(t *testing.T, where, s string, needles []string) {
	t.Helper()
	for _, n := range needles {
		if n != "" && strings.Contains(s, n) {
			t.Errorf("%s: prints a secret: %.300s", where, s)
			return
		}
	}
}

func TestLive(t *testing.T) {
	l := secret.NewLive(nil)
	var got []*secret.Secret
	stop := l.Watch(func(s *secret.Secret) { got = append(got, s) })
	a, b := &secret.Secret{Name: "a"}, &secret.Secret{Name: "b"}
	l.Store(a)
	l.Store(a)
	l.Store(b)
	stop()
	l.Store(a)
	if len(got) != 2 || got[0] != a || got[1] != b || l.Load() != a {
		t.Errorf("%v", got)
	}
}

// FuzzDecode looks for panics, and for models that are neither whole nor an error.
func FuzzDecode(f *testing.F) {
	ca := secrettest.CA(f, "ca")
	leaf := ca.Issue(f, "a")
	for _, s := range []*tlsv3.Secret{
		certificate(leaf.Cert(), leaf.PrivateKey()),
		validation(&tlsv3.CertificateValidationContext{TrustedCa: inline(ca.Cert()), Crl: inline(ca.CRL(f, leaf))}),
		{},
	} {
		b, err := proto.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p tlsv3.Secret
		if proto.Unmarshal(b, &p) != nil || strings.Contains(p.String(), "filename:") {
			return
		}
		m, err := secret.Decode(&p, nil)
		if (m == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
		if m != nil && m.Certificate != nil && m.Certificate.Key.Reveal() == nil {
			t.Fatal("no key")
		}
	})
}
