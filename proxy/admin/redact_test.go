package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	udpatype "github.com/cncf/xds/go/udpa/type/v1"
	xdstype "github.com/cncf/xds/go/xds/type/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const secret = "very secret"

func wrap(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

func TestRedaction(t *testing.T) {
	ctx := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificates: []*tlsv3.TlsCertificate{{
		CertificateChain: inline("public"), PrivateKey: inline(secret), Password: inline(secret),
	}}}}
	keys := &tlsv3.DownstreamTlsContext{SessionTicketKeysType: &tlsv3.DownstreamTlsContext_SessionTicketKeys{
		SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{Keys: []*corev3.DataSource{
			{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte(secret)}},
			{Specifier: &corev3.DataSource_Filename{Filename: secret}},
		}},
	}}
	st := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(`{"common_tls_context":{"tlsCertificates":[
		{"certificate_chain":{"inline_string":"public"},"private_key":{"inline_string":"`+secret+`"}}]}}`), st); err != nil {
		t.Fatal(err)
	}
	const url = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
	for name, m := range map[string]proto.Message{
		"plain":            ctx,
		"inline bytes":     keys,
		"any":              wrap(t, ctx),
		"any in any":       wrap(t, wrap(t, ctx)),
		"typed struct":     &xdstype.TypedStruct{TypeUrl: url, Value: st},
		"old typed struct": wrap(t, &udpatype.TypedStruct{TypeUrl: url, Value: st}),
		"generic secret":   wrap(t, &tlsv3.GenericSecret{Secret: inline(secret)}),
		"secret by name": wrap(t, &tlsv3.Secret{Name: "s", Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secrets: map[string]*corev3.DataSource{"a": inline(secret)},
		}}}),
		"unknown type": &anypb.Any{TypeUrl: "type.googleapis.com/some.Unknown", Value: []byte("\n\x0b" + secret)},
		"broken bytes": &anypb.Any{TypeUrl: url, Value: []byte("\xff" + secret)},
	} {
		t.Run(name, func(t *testing.T) {
			before := proto.Clone(m)
			b, err := printProto(redacted(m), false)
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			if strings.Contains(text, secret) || strings.Contains(text, "dmVyeSBzZWNyZX") { // base64 of it
				t.Errorf("the secret is shown:\n%s", text)
			}
			if strings.Contains(protojson.Format(m), "public") && !strings.Contains(text, "public") {
				t.Errorf("what is public is hidden:\n%s", text)
			}
			if !proto.Equal(before, m) {
				t.Error("the original was changed")
			}
		})
	}
}

// A key in the configuration is used, and shown nowhere; its certificate is.
func TestSecretsOverHTTP(t *testing.T) {
	cert, key := pair(t)
	chain := func(k string) string {
		return `{"name":"tls","typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
			"common_tls_context":{"tls_certificates":[{"certificate_chain":{"inline_string":` + quote(t, cert) + `},"private_key":{"inline_string":` + k + `}}]}}}`
	}
	yaml := `{"static_resources":{"clusters":[{"name":"a","type":"STATIC","load_assignment":{"cluster_name":"a"}}],"listeners":[{"name":"l",
		"address":{"socket_address":{"address":"127.0.0.1","port_value":0}},
		"filter_chains":[{"filters":[{"name":"t","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
			"stat_prefix":"t","cluster":"a"}}],"transport_socket":` + chain(quote(t, key)) + `}]}]}}`
	w := newWorld(t, yaml, Options{})
	w.apply(t)
	body := strings.Split(key, "\n")[1]
	for i := range w.table {
		e := &w.table[i]
		if e.posts {
			continue
		}
		if _, _, text := w.ask(t, "GET "+e.path+"?format=json&include_eds"); strings.Contains(text, body) {
			t.Errorf("%s shows the private key", e.path)
		}
	}
	if dump := w.get(t, "/config_dump"); strings.Count(dump, hidden) != 2 { // in the bootstrap and in the listener
		t.Errorf("redacted %d times", strings.Count(dump, hidden))
	}
	certs := w.get(t, "/certs")
	for _, want := range []string{
		`"path": "<inline>"`, `"serial_number": "beef"`, `"dns": "x.example"`, `"uri": "spiffe://a/b"`, `"ip_address": "10.0.0.1"`,
		`"days_until_expiration": "2"`, `"ca_cert": []`,
	} {
		if !strings.Contains(certs, want) {
			t.Errorf("/certs has not %s:\n%s", want, certs)
		}
	}
}

func TestRedactedBootstrapIsACopy(t *testing.T) {
	b := &bootstrapv3.Bootstrap{Node: &corev3.Node{Id: "n"}}
	if redacted(b) == b {
		t.Error("not a copy")
	}
}

func quote(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pair makes a certificate that is valid for two and a half days.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri := &url.URL{Scheme: "spiffe", Host: "a", Path: "/b"}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0xbeef), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(60 * time.Hour),
		DNSNames: []string{"x.example"}, URIs: []*url.URL{uri}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}))
}
