package tls

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parseJSON(t testing.TB, f *extension.Factory, m proto.Message, text string) (any, *extension.Context, error) {
	t.Helper()
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	ctx := extension.NewContext(extension.NewRegistry(), "test")
	v, err := f.Parse(a, ctx)
	return v, ctx, err
}

func server(t testing.TB, text string) (*tlsctx.ServerConfig, *extension.Context, error) {
	t.Helper()
	v, ctx, err := parseJSON(t, Factory(), &tlsv3.DownstreamTlsContext{}, text)
	c, _ := v.(*tlsctx.ServerConfig)
	return c, ctx, err
}

func client(t testing.TB, text string) (*tlsctx.ClientConfig, error) {
	t.Helper()
	v, _, err := parseJSON(t, UpstreamFactory(), &tlsv3.UpstreamTlsContext{}, text)
	c, _ := v.(*tlsctx.ClientConfig)
	return c, err
}

// crt writes a TlsCertificate.
func crt(p *secrettest.Pair) string {
	return fmt.Sprintf(`{"certificate_chain":{"inline_string":%q},"private_key":{"inline_string":%q}}`, p.Cert(), p.PrivateKey())
}

func TestMistakesOfServersByPath(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	one := crt(ca.Issue(t, "a"))
	common := func(rest string) string {
		return `{"common_tls_context":{"tls_certificates":[` + one + `]` + rest + `}}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", `{}`, "common_tls_context.tls_certificates: unset"},
		{
			"bad key", `{"common_tls_context":{"tls_certificates":[` + one + `,` + strings.Replace(one, "BEGIN PRIVATE", "BEGIN PUBLIC", 1) + `]}}`,
			"common_tls_context.tls_certificates[1].private_key: no PEM private key",
		},
		{"old version", common(`,"tls_params":{"tls_minimum_protocol_version":"TLSv1_1"}`), "common_tls_context.tls_params.tls_minimum_protocol_version: TLSv1_1 is not supported"},
		{"versions the wrong way round", common(`,"tls_params":{"tls_minimum_protocol_version":"TLSv1_3","tls_maximum_protocol_version":"TLSv1_2"}`), "above tls_maximum_protocol_version"},
		{"cipher", common(`,"tls_params":{"cipher_suites":["ECDHE-RSA-AES128-GCM-SHA256","[RC4|NULL]"]}`), `common_tls_context.tls_params.cipher_suites[1]: "RC4" is not supported`},
		{"curve", common(`,"tls_params":{"ecdh_curves":["X25519","K-163"]}`), `common_tls_context.tls_params.ecdh_curves[1]: "K-163" is not supported`},
		{"protocol", common(`,"alpn_protocols":["h2,,http/1.1"]`), `common_tls_context.alpn_protocols: "" is not the name`},
		{"validation", common(`,"validation_context":{"trusted_ca":{"inline_string":"x"}}`), "common_tls_context.validation_context.trusted_ca: no PEM certificate"},
		{"ticket keys", strings.TrimSuffix(common(""), "}") + `,"session_ticket_keys":{"keys":[{"inline_string":"x"}]}}`, "session_ticket_keys.keys[0]: 1 bytes, want 80"},
		{"no staple", strings.TrimSuffix(common(""), "}") + `,"ocsp_staple_policy":"MUST_STAPLE"}`, "common_tls_context.tls_certificates[0].ocsp_staple: unset"},
		{"no secret name", `{"common_tls_context":{"tls_certificate_sds_secret_configs":[{"sds_config":{"ads":{}}}]}}`, "name"},
	} {
		if _, _, err := server(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestMistakesOfClientsByPath(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	one := crt(ca.Issue(t, "a"))
	for _, c := range []struct{ name, text, want string }{
		{"two certificates", `{"common_tls_context":{"tls_certificates":[` + one + `,` + one + `]}}`, "common_tls_context.tls_certificates: more than one"},
		{"renegotiation", `{"allow_renegotiation":true}`, "allow_renegotiation: not supported"},
		{
			"names without an authority", `{"common_tls_context":{"validation_context":{"match_typed_subject_alt_names":[{"san_type":"DNS","matcher":{"exact":"a"}}]}}}`,
			"match_typed_subject_alt_names: needs trusted_ca",
		},
	} {
		if _, err := client(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestServerModel(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	c, ctx, err := server(t, `{"common_tls_context":{
		"tls_certificate_sds_secret_configs":[{"name":"crt","sds_config":{"ads":{}}},{"name":"crt2","sds_config":{"ads":{}}}],
		"combined_validation_context":{"default_validation_context":{"match_typed_subject_alt_names":[{"san_type":"URI","matcher":{"prefix":"spiffe://"}}]},
			"validation_context_sds_secret_config":{"name":"ROOTCA","sds_config":{"ads":{}}}},
		"alpn_protocols":["h2,http/1.1"],
		"tls_params":{"cipher_suites":["[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]","TLS_AES_128_GCM_SHA256","ECDHE-ECDSA-AES256-GCM-SHA384"],"ecdh_curves":["X25519MLKEM768","P-256"]}},
		"require_client_certificate":true,"session_timeout":"60s",
		"session_ticket_keys_sds_secret_config":{"name":"tickets","sds_config":{"ads":{}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range ctx.Refs() {
		if r.TypeURL != secret.TypeURL {
			t.Errorf("required %s", r.TypeURL)
		}
		names = append(names, r.Name)
	}
	if want := []string{"crt", "crt2", "ROOTCA", "tickets"}; !reflect.DeepEqual(names, want) {
		t.Errorf("requires %v, want %v", names, want)
	}
	if len(c.Certificates) != 2 || c.Certificates[1].Key != "crt2" || c.Validation.Key != "ROOTCA" || len(c.Default.SANs) != 1 || c.TicketKeys.Key != "tickets" ||
		!reflect.DeepEqual(c.ALPN, []string{"h2", "http/1.1"}) || len(c.Params.Ciphers) != 3 || len(c.Params.Curves) != 2 || !c.RequireCertificate || c.SessionTimeout.Seconds() != 60 {
		t.Errorf("%+v", c)
	}
	// Those in place win over those by discovery, as in Envoy.
	c, ctx, err = server(t, `{"common_tls_context":{"tls_certificates":[`+crt(ca.Issue(t, "a"))+`],"tls_certificate_sds_secret_configs":[{"name":"crt","sds_config":{"ads":{}}}]}}`)
	if err != nil || len(c.Certificates) != 1 || len(ctx.Refs()) != 0 {
		t.Errorf("%v %+v", err, c)
	}
}

// TestEqualContextsAreEqual: listeners compare models to keep chains, with their connections, that did not change.
func TestEqualContextsAreEqual(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.IssueRSA(t, "a")
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(path, []byte(ca.Cert()), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `{"common_tls_context":{"tls_certificates":[` + crt(leaf) + `],"validation_context":{"trusted_ca":{"filename":"` + path + `"}}}}`
	a, _, err := server(t, text)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := server(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("two models of one context are not equal")
	}
	other, _, err := server(t, strings.Replace(text, crt(leaf), crt(ca.IssueRSA(t, "a")), 1))
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(a, other) {
		t.Error("models of different contexts are equal")
	}
}

// TestModelsPrintNoSecret prints what a context was read to, its key inline and the file's message kept.
func TestModelsPrintNoSecret(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.IssueEd25519(t, "a")
	dir := t.TempDir()
	path := filepath.Join(dir, "crt.pem")
	if err := os.WriteFile(path, []byte(leaf.Cert()), 0o600); err != nil {
		t.Fatal(err)
	}
	key := leaf.PrivateKey()
	body := strings.Split(key, "\n")[1]
	c, _, err := server(t, fmt.Sprintf(`{"common_tls_context":{"tls_certificates":[{"certificate_chain":{"filename":%q},"private_key":{"inline_string":%q}}]},
		"session_ticket_keys":{"keys":[{"inline_string":%q}]}}`, path, key, strings.Repeat("k", 80)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Certificates[0].Source.Len() == 0 {
		t.Fatal("the message is not kept")
	}
	holder := struct{ c any }{c}
	for _, v := range []any{c, *c, c.Common, c.Certificates[0], c.TicketKeys, holder} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			got := fmt.Sprintf(verb, v)
			for _, n := range []string{body, fmt.Sprintf("%x", body), "kkkkkkkkkk", "6b6b6b6b6b6b", strings.Trim(fmt.Sprint([]byte(body[:12])), "[]")} {
				if strings.Contains(got, n) {
					t.Errorf("%s prints a secret: %.200s", verb, got)
				}
			}
		}
	}
	// And what is read again is the same.
	s, err := again(&c.Certificates[0])
	if err != nil || string(s.Certificate.Chain[0]) != string(leaf.Leaf.Raw) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range []proto.Message{
		&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols:   []string{"h2,http/1.1"},
			TlsParams:       &tlsv3.TlsParameters{CipherSuites: []string{"[A|B]", "]", "["}, EcdhCurves: []string{"X25519"}},
			TlsCertificates: []*tlsv3.TlsCertificate{{CertificateChain: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "x"}}}},
		}},
		&tlsv3.DownstreamTlsContext{},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	down, up := Factory(), UpstreamFactory()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fac := range []*extension.Factory{down, up} {
			m := &tlsv3.DownstreamTlsContext{}
			if proto.Unmarshal(b, m) == nil && strings.Contains(m.String(), "filename:") {
				return
			}
			v, err := fac.Parse(&anypb.Any{TypeUrl: fac.TypeURL, Value: b}, extension.NewContext(extension.NewRegistry(), "x"))
			if (v == nil) == (err == nil) && !reflect.ValueOf(v).IsNil() {
				t.Fatalf("neither or both: %v %v", v, err)
			}
		}
	})
}
