package tls

import (
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/tlsctx"
	"github.com/weirproxy/weir/proxy/upstream"
)

// UpstreamFactory is envoy.transport_sockets.tls for clusters.
func UpstreamFactory() *extension.Factory {
	return filters.NewUpstreamTransportSocket(Name, parseClient, buildClient)
}

func buildClient(c *tlsctx.ClientConfig, tc *upstream.TransportContext) (upstream.Transport, error) {
	t := tlsctx.NewTally(tc.Stats, false)
	return tlsctx.NewClient(c, shown(resolver(tc.Secrets, tc.Keep, tc.Closing), t, tc.Stats, tc.WatchSecret, tc.Closing), t)
}

func parseClient(m *tlsv3.UpstreamTlsContext, ctx *extension.Context) (*tlsctx.ClientConfig, error) {
	var l fielderr.List
	c := &tlsctx.ClientConfig{
		Common:      common(&l, m.GetCommonTlsContext(), ctx),
		SNI:         m.GetSni(),
		AutoHostSNI: m.GetAutoHostSni(),
		AutoSANs:    m.GetAutoSniSanValidation(),
	}
	if len(c.SNI) > 255 {
		l.Addf("sni", "longer than 255 bytes")
	}
	if n := m.GetCommonTlsContext(); len(n.GetTlsCertificates()) > 1 {
		l.Addf(at+".tls_certificates", "more than one: a client has one certificate")
	} else if len(n.GetTlsCertificateSdsSecretConfigs()) > 1 {
		l.Addf(at+".tls_certificate_sds_secret_configs", "more than one: a client has one certificate")
	}
	if m.GetAllowRenegotiation() {
		l.Addf("allow_renegotiation", "not supported: it is insecure, and TLS 1.3 has none")
	}
	if k := m.GetMaxSessionKeys(); k != nil {
		c.NoResume, c.MaxSessions = k.GetValue() == 0, int(min(k.GetValue(), 1<<16))
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return c, nil
}
