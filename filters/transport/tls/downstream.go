package tls

import (
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

func parseServer(m *tlsv3.DownstreamTlsContext, ctx *extension.Context) (*tlsctx.ServerConfig, error) {
	var l fielderr.List
	c := &tlsctx.ServerConfig{
		Common:             common(&l, m.GetCommonTlsContext(), ctx),
		RequireCertificate: m.GetRequireClientCertificate().GetValue(),
		RequireSNI:         m.GetRequireSni().GetValue(),
		FullScan:           m.GetFullScanCertsOnSniMismatch().GetValue(),
		SessionTimeout:     l.Duration("session_timeout", m.GetSessionTimeout(), 0),
	}
	if n := m.GetCommonTlsContext(); len(n.GetTlsCertificates())+len(n.GetTlsCertificateSdsSecretConfigs()) == 0 {
		l.Addf(at+".tls_certificates", "unset: a listener cannot speak TLS without a certificate")
	}
	switch m.GetOcspStaplePolicy() {
	case tlsv3.DownstreamTlsContext_STRICT_STAPLING:
		c.Staple = tlsctx.Strict
	case tlsv3.DownstreamTlsContext_MUST_STAPLE:
		c.Staple = tlsctx.Required
		for i := range c.Certificates {
			if s := c.Certificates[i].Inline; s != nil && s.Certificate.Staple == nil {
				l.Addf(fielderr.Index(at+".tls_certificates", i)+".ocsp_staple", "unset, which ocsp_staple_policy does not allow")
			}
		}
	}
	switch k := m.GetSessionTicketKeysType().(type) {
	case *tlsv3.DownstreamTlsContext_SessionTicketKeys:
		keys, src := secret.DecodeTicketKeys(&l, "session_ticket_keys", k.SessionTicketKeys)
		r := inline(&secret.Secret{TicketKeys: keys, Sources: src},
			&tlsv3.Secret{Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: k.SessionTicketKeys}})
		c.TicketKeys = &r
	case *tlsv3.DownstreamTlsContext_SessionTicketKeysSdsSecretConfig:
		c.TicketKeys = require(&l, "session_ticket_keys_sds_secret_config", k.SessionTicketKeysSdsSecretConfig, ctx)
	case *tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption:
		c.NoTickets = k.DisableStatelessSessionResumption
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return c, nil
}
