package planes

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/weirproxy/weir/xds/server"
)

// agent stands where Istio's agent does: beside the proxy, serving the secrets "default" and "ROOTCA" on a unix socket. It gives the
// socket's path.
func agent(t *testing.T, dir string, p pair) string {
	t.Helper()
	inline := func(s string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
	}
	s, err := server.New("", server.Options{AllowInconsistent: true})
	if err != nil {
		t.Fatal(err)
	}
	err = s.SetResources(
		&tlsv3.Secret{Name: "default", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inline(p.cert), PrivateKey: inline(p.key),
		}}},
		&tlsv3.Secret{Name: "ROOTCA", Type: &tlsv3.Secret_ValidationContext{
			ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(p.cert)},
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sds.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return path
}
