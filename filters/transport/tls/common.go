package tls

import (
	"crypto/tls"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

const at = "common_tls_context"

// common reads a CommonTlsContext.
func common(l *fielderr.List, m *tlsv3.CommonTlsContext, ctx *extension.Context) tlsctx.Common {
	c := tlsctx.Common{Params: params(l, at+".tls_params", m.GetTlsParams())}
	for i, t := range m.GetTlsCertificates() {
		crt := secret.DecodeCertificate(l, fielderr.Index(at+".tls_certificates", i), t)
		if crt == nil {
			continue
		}
		c.Certificates = append(c.Certificates, inline(&secret.Secret{Certificate: crt, Sources: crt.Sources},
			&tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: t}}))
	}
	if len(m.GetTlsCertificates()) == 0 { // else those by discovery are ignored, as in Envoy
		for i, s := range m.GetTlsCertificateSdsSecretConfigs() {
			c.Certificates = append(c.Certificates, *require(l, fielderr.Index(at+".tls_certificate_sds_secret_configs", i), s, ctx))
		}
	}
	validation(l, &c, m, ctx)
	for _, p := range m.GetAlpnProtocols() {
		for _, p := range strings.Split(p, ",") { // Envoy joins them with commas
			if p = strings.TrimSpace(p); len(p) == 0 || len(p) > 255 {
				l.Addf(at+".alpn_protocols", "%q is not the name of a protocol", p)
				continue
			}
			c.ALPN = append(c.ALPN, p)
		}
	}
	return c
}

func validation(l *fielderr.List, c *tlsctx.Common, m *tlsv3.CommonTlsContext, ctx *extension.Context) {
	switch v := m.GetValidationContextType().(type) {
	case *tlsv3.CommonTlsContext_ValidationContext:
		d := secret.DecodeValidation(l, at+".validation_context", v.ValidationContext)
		r := inline(&secret.Secret{Validation: d, Sources: d.Sources},
			&tlsv3.Secret{Type: &tlsv3.Secret_ValidationContext{ValidationContext: v.ValidationContext}})
		c.Validation = &r
	case *tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig:
		c.Validation = require(l, at+".validation_context_sds_secret_config", v.ValidationContextSdsSecretConfig, ctx)
	case *tlsv3.CommonTlsContext_CombinedValidationContext:
		path := at + ".combined_validation_context"
		c.Default = secret.DecodeDefaultValidation(l, path+".default_validation_context", v.CombinedValidationContext.GetDefaultValidationContext())
		c.Validation = require(l, path+".validation_context_sds_secret_config",
			v.CombinedValidationContext.GetValidationContextSdsSecretConfig(), ctx)
	}
}

// require refers to a secret that is discovered.
func require(l *fielderr.List, path string, m *tlsv3.SdsSecretConfig, ctx *extension.Context) *tlsctx.Ref {
	return &tlsctx.Ref{Key: core.RequireSecret(l, path, m, ctx), Name: m.GetName(), Static: m.GetSdsConfig() == nil}
}

// inline refers to a secret that stands in the context. One that names files keeps its message, to be read again.
func inline(s *secret.Secret, m *tlsv3.Secret) tlsctx.Ref {
	r := tlsctx.Ref{Inline: s}
	if len(s.Sources.Files) > 0 {
		if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err == nil {
			r.Source = secret.NewBytes(b)
		}
	}
	return r
}

// params reads tls_params.
func params(l *fielderr.List, path string, m *tlsv3.TlsParameters) tlsctx.Params {
	p := tlsctx.Params{
		Min: version(l, path+".tls_minimum_protocol_version", m.GetTlsMinimumProtocolVersion()),
		Max: version(l, path+".tls_maximum_protocol_version", m.GetTlsMaximumProtocolVersion()),
	}
	if p.Max != 0 && p.Min > p.Max {
		l.Addf(path+".tls_minimum_protocol_version", "above tls_maximum_protocol_version")
	}
	for i, s := range m.GetCipherSuites() {
		p.Ciphers = append(p.Ciphers, ciphers(l, fielderr.Index(path+".cipher_suites", i), s)...)
	}
	if len(m.GetCipherSuites()) > 0 && len(p.Ciphers) == 0 && p.Min < tls.VersionTLS13 && p.Max != 0 && p.Max < tls.VersionTLS13 {
		l.Addf(path+".cipher_suites", "none of TLS 1.2")
	}
	for i, s := range m.GetEcdhCurves() {
		id, ok := tlsctx.ParseCurve(s)
		if !ok {
			l.Addf(fielderr.Index(path+".ecdh_curves", i), "%q is not supported (supported: %s)", s, strings.Join(tlsctx.CurveNames(), ", "))
			continue
		}
		p.Curves = append(p.Curves, id)
	}
	return p
}

func version(l *fielderr.List, path string, v tlsv3.TlsParameters_TlsProtocol) uint16 {
	switch v {
	case tlsv3.TlsParameters_TLS_AUTO:
		return 0
	case tlsv3.TlsParameters_TLSv1_2:
		return tls.VersionTLS12
	case tlsv3.TlsParameters_TLSv1_3:
		return tls.VersionTLS13
	}
	l.Addf(path, "%s is not supported: it is broken (RFC 8996)", v)
	return 0
}

// ciphers reads one cipher or a group of ciphers of equal preference, "[A|B]". Which of those that both sides know is used is for Go to
// choose, by the hardware; those of TLS 1.3 are always all on, as in Envoy.
func ciphers(l *fielderr.List, path, s string) (out []uint16) {
	names := []string{s}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		names = strings.Split(s[1:len(s)-1], "|")
	}
	for _, n := range names {
		for _, n := range strings.Split(n, ":") {
			id, tls13, ok := tlsctx.ParseSuite(strings.TrimSpace(n))
			switch {
			case !ok:
				l.Addf(path, "%q is not supported (supported: %s)", n, strings.Join(tlsctx.SuiteNames(), ", "))
			case !tls13:
				out = append(out, id)
			}
		}
	}
	return out
}
