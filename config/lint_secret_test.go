package config_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/secret"
)

// Remarks on secrets: keys that everybody may read, certificates that are not valid now, secrets that are not there.
func TestLintOfSecrets(t *testing.T) {
	open, closed := filepath.Join(t.TempDir(), "open"), filepath.Join(t.TempDir(), "closed")
	for name, mode := range map[string]os.FileMode{open: 0o644, closed: 0o640} {
		if err := os.WriteFile(name, nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	resource := func(name, key string, from, to time.Duration) *config.Resource {
		m := &tlsv3.Secret{}
		if err := protojson.Unmarshal([]byte(`{"tls_certificate":{"private_key":{"filename":"`+key+`"}}}`), m); err != nil {
			t.Fatal(err)
		}
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		leaf := &x509.Certificate{NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
		return &config.Resource{Name: name, Raw: a, Value: &secret.Secret{Name: name, Certificate: &secret.Certificate{Leaf: leaf}}}
	}
	ref := func(name string, src extension.Source) extension.Ref {
		return extension.Ref{TypeURL: config.SecretURL, Name: name, Source: src}
	}
	s := &config.Snapshot{
		Secrets: map[string]*config.Resource{
			"a": resource("a", open, -time.Hour, time.Hour), "b": resource("b", closed, -time.Hour, time.Hour),
			"c": resource("c", closed, -48*time.Hour, -24*time.Hour), "d": resource("d", closed, 24*time.Hour, 48*time.Hour),
		},
		Listeners: map[string]*config.Resource{"in": {Name: "in", Refs: []extension.Ref{
			ref("a", extension.Source{Static: true}), ref("none", extension.Source{}), ref("elsewhere", extension.Source{Path: "/f"}),
		}}},
	}
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.DateOnly) }
	want := []string{
		`secret "a": tls_certificate.private_key.filename: ` + open + ` may be read by everybody (mode 0644)`,
		`secret "c": tls_certificate.certificate_chain: expired on ` + date(-24*time.Hour),
		`secret "d": tls_certificate.certificate_chain: not valid before ` + date(24*time.Hour),
		`listener "in": secret "none" is not there`,
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(s.Lint(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
