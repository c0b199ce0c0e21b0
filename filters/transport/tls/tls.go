// Package tls is envoy.transport_sockets.tls, downstream: TLS termination with
// certificates given inline or as files.
//
// HTTP/2 is not spoken yet, so "h2" in alpn_protocols is not offered to clients;
// they negotiate what else is listed (docs/differences-from-envoy.md).
package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// Factory is envoy.transport_sockets.tls for listeners.
func Factory() *extension.Factory {
	return filters.NewTransportSocket("envoy.transport_sockets.tls", parse, build)
}

func build(c *tls.Config, bc *filters.BuildContext) (any, error) {
	scope := bc.Listener
	if scope == nil {
		scope = bc.Stats
	}
	return tlsctx.NewServer(c, stats.Fill[tlsctx.Stats](scope.Scope("ssl"))), nil
}

func parse(m *tlsv3.DownstreamTlsContext, _ *extension.Context) (*tls.Config, error) {
	var l fielderr.List
	common := m.GetCommonTlsContext()
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	for i, t := range common.GetTlsCertificates() {
		path := fielderr.Index("common_tls_context.tls_certificates", i)
		cert, err := certificate(t)
		if err != nil {
			l.Add(path, err)
			continue
		}
		c.Certificates = append(c.Certificates, cert)
	}
	if len(common.GetTlsCertificates()) == 0 {
		l.Addf("common_tls_context.tls_certificates", "unset: a listener cannot speak TLS without a certificate")
	}
	c.NextProtos = slices.DeleteFunc(slices.Clone(common.GetAlpnProtocols()), func(p string) bool { return p == "h2" })
	if len(common.GetAlpnProtocols()) > 0 && len(c.NextProtos) == 0 {
		l.Addf("common_tls_context.alpn_protocols", "only h2, which is not supported yet: add http/1.1")
	}
	versions(&l, c, common.GetTlsParams())
	if err := l.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func certificate(t *tlsv3.TlsCertificate) (tls.Certificate, error) {
	chain, err := data(t.CertificateChain)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate_chain: %w", err)
	}
	key, err := data(t.PrivateKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("private_key: %w", err)
	}
	return tls.X509KeyPair(chain, key)
}

func data(d *corev3.DataSource) ([]byte, error) {
	switch s := d.GetSpecifier().(type) {
	case *corev3.DataSource_Filename:
		return os.ReadFile(s.Filename)
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes, nil
	case *corev3.DataSource_InlineString:
		return []byte(s.InlineString), nil
	case *corev3.DataSource_EnvironmentVariable:
		return []byte(os.Getenv(s.EnvironmentVariable)), nil
	}
	return nil, errors.New("unset")
}

func versions(l *fielderr.List, c *tls.Config, p *tlsv3.TlsParameters) {
	set := func(field string, v tlsv3.TlsParameters_TlsProtocol, to *uint16) {
		switch v {
		case tlsv3.TlsParameters_TLS_AUTO:
		case tlsv3.TlsParameters_TLSv1_2:
			*to = tls.VersionTLS12
		case tlsv3.TlsParameters_TLSv1_3:
			*to = tls.VersionTLS13
		default:
			l.Addf("common_tls_context.tls_params."+field, "%s is not supported: it is broken (RFC 8996)", v)
		}
	}
	set("tls_minimum_protocol_version", p.GetTlsMinimumProtocolVersion(), &c.MinVersion)
	set("tls_maximum_protocol_version", p.GetTlsMaximumProtocolVersion(), &c.MaxVersion)
}
