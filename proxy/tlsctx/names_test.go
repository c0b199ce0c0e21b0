package tlsctx_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"reflect"
	"testing"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// generalNames makes the value of a subjectAltName extension by hand.
func generalNames(t testing.TB, all ...asn1.RawValue) pkix.Extension {
	t.Helper()
	b, err := asn1.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: b}
}

func general(tag int, b string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(b)}
}

func otherName(t testing.TB, oid asn1.ObjectIdentifier, v any) asn1.RawValue {
	t.Helper()
	id, err := asn1.Marshal(oid)
	if err != nil {
		t.Fatal(err)
	}
	val, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: val})
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(id, wrapped...)}
}

func TestSANs(t *testing.T) {
	upn := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	c := &x509.Certificate{Extensions: []pkix.Extension{generalNames(t,
		general(2, "b.example"), general(6, "spiffe://td/%41"), general(7, "\x0a\x00\x00\x01"), general(1, "a@b"), general(2, "a.example"),
		otherName(t, upn, "user@realm"), otherName(t, upn, true), otherName(t, upn, 300), otherName(t, upn, -1),
		otherName(t, upn, asn1.ObjectIdentifier{1, 2, 3}), otherName(t, upn, asn1.NullRawValue), general(4, "directory"))}}
	const u = "1.3.6.1.4.1.311.20.2.3"
	want := []secret.SAN{
		{Type: secret.DNSSAN, Value: "b.example"},
		{Type: secret.URISAN, Value: "spiffe://td/%41"},
		{Type: secret.IPSAN, Value: "10.0.0.1"},
		{Type: secret.EmailSAN, Value: "a@b"},
		{Type: secret.DNSSAN, Value: "a.example"},
		{Type: secret.OtherSAN, Value: "user@realm", OID: u},
		{Type: secret.OtherSAN, Value: "true", OID: u},
		{Type: secret.OtherSAN, Value: "300", OID: u},
		{Type: secret.OtherSAN, Value: "-1", OID: u},
		{Type: secret.OtherSAN, Value: "1.2.3", OID: u},
		{Type: secret.OtherSAN, Value: "", OID: u},
	}
	if got := tlsctx.SANs(c); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

func TestDescribeNames(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.Issue(t, `a,b "c"+#`, secrettest.With(func(c *x509.Certificate) {
		c.Subject.Country, c.Subject.OrganizationalUnit = []string{"DE"}, []string{" x "}
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@b"}, {Type: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: "é"}}
	}))
	d := tlsctx.Describe([]*x509.Certificate{leaf.Leaf})
	want := `1.2.3.4=\C3\A9,emailAddress=a@b,CN=a\,b \"c\"\+#,OU=\ x\ ,O=Weir,C=DE`
	if d.Subject != want || d.Issuer != "CN=ca,O=Weir" || len(d.Serial)%2 != 0 {
		t.Errorf("%s\nwant\n%s\n%+v", d.Subject, want, d)
	}
	if tlsctx.Describe(nil) != nil {
		t.Error("of nothing")
	}
}

func TestNamesOfSuitesAndCurves(t *testing.T) {
	for _, n := range tlsctx.SuiteNames() {
		if _, _, ok := tlsctx.ParseSuite(n); !ok {
			t.Errorf("%s", n)
		}
	}
	for _, n := range append(tlsctx.CurveNames(), "prime256v1", "secp384r1") {
		if _, ok := tlsctx.ParseCurve(n); !ok {
			t.Errorf("%s", n)
		}
	}
	if a, _, _ := tlsctx.ParseSuite("ECDHE-RSA-AES128-GCM-SHA256"); a == 0 {
		t.Error("OpenSSL's name")
	}
	if _, tls13, ok := tlsctx.ParseSuite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"); !ok || tls13 {
		t.Error("IANA's name")
	}
}

// FuzzSANs looks for panics in the names of certificates, which peers write.
func FuzzSANs(f *testing.F) {
	f.Add(generalNames(f, general(2, "a"), otherName(f, asn1.ObjectIdentifier{1, 2}, true), general(7, "abcd")).Value)
	f.Add([]byte{0x30, 0x80})
	f.Add([]byte{0x30, 0x03, 0xa0, 0x01, 0x06})
	f.Fuzz(func(_ *testing.T, b []byte) {
		c := &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: b}}}
		for _, n := range tlsctx.SANs(c) {
			m := secret.ExactDNS("a")
			m.Match(&n)
		}
	})
}
