package hcm

import (
	"testing"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

func TestAppendXFCC(t *testing.T) {
	peer := &info.Certificate{
		SHA256: "abc", Subject: `CN=x,O="q"`, URIs: []string{"spiffe://a", "spiffe://b"}, DNSNames: []string{"a.example", "b.example"},
		Chain: [][]byte{{0xff}, {0xfe}},
	}
	local := &info.Certificate{URIs: []string{"spiffe://me"}}
	const begin, end = "-----BEGIN%20CERTIFICATE-----%0A", "%0A-----END%20CERTIFICATE-----%0A"
	for _, c := range []struct {
		name        string
		peer, local *info.Certificate
		d           CertDetails
		want        string
	}{
		{"hash alone", peer, nil, CertDetails{}, "Hash=abc"},
		{"by whom", peer, local, CertDetails{}, "By=spiffe://me;Hash=abc"},
		{"all", peer, local, CertDetails{true, true, true, true, true}, `By=spiffe://me;Hash=abc;Cert="` + begin + "%2Fw%3D%3D" + end + `";Chain="` +
			begin + "%2Fw%3D%3D" + end + begin + "%2Fg%3D%3D" + end + `";Subject="CN=x,O="q"";URI=spiffe://a;URI=spiffe://b;DNS=a.example;DNS=b.example`},
		{"keys without values", &info.Certificate{}, nil, CertDetails{true, true, true, true, true}, `Subject="";URI=`},
	} {
		if got := string(AppendXFCC(nil, c.peer, c.local, c.d)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestClientCertModes(t *testing.T) {
	for _, c := range []struct {
		name string
		mode ForwardCert
		mtls bool
		sent []string
		want string // "" is no field
	}{
		{"sanitize", SanitizeCert, true, []string{"Hash=evil"}, ""},
		{"sanitize without a certificate", SanitizeCert, false, []string{"Hash=evil"}, ""},
		{"forward", ForwardCertOnly, true, []string{"Hash=x"}, "Hash=x"},
		{"forward without a certificate", ForwardCertOnly, false, []string{"Hash=evil"}, ""},
		{"append", AppendForwardCert, true, []string{"Hash=x"}, "Hash=x,Hash=abc"},
		{"append to several", AppendForwardCert, true, []string{"Hash=x", "Hash=y"}, "Hash=x,Hash=y,Hash=abc"},
		{"append to nothing", AppendForwardCert, true, nil, "Hash=abc"},
		{"append without a certificate", AppendForwardCert, false, []string{"Hash=evil"}, ""},
		{"set", SanitizeSetCert, true, []string{"Hash=evil", "Hash=more"}, "Hash=abc"},
		{"set without a certificate", SanitizeSetCert, false, []string{"Hash=evil"}, ""},
		{"always", AlwaysForwardCert, false, []string{"Hash=x"}, "Hash=x"},
	} {
		m := &Manager{cfg: &Config{ForwardCert: c.mode}}
		s := stream.New(stream.NewChain(nil, new(stream.Slots), nil))
		s.Conn = conn.New(nil)
		if c.mtls {
			s.Conn.Info.PeerCertificate = &info.Certificate{SHA256: "abc"}
		}
		for _, v := range c.sent {
			s.Request.AddString(xForwardedClientCert, v)
		}
		m.clientCert(s)
		if got, n := string(s.Request.Value(xForwardedClientCert)), s.Request.Count(xForwardedClientCert); got != c.want || n > 1 || (n == 1) != (c.want != "") {
			t.Errorf("%s: %q (%d fields), want %q", c.name, got, n, c.want)
		}
	}
}
