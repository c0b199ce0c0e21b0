package hcm

import (
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/hcm"
)

// clientCert takes forward_client_cert_details and set_current_client_cert_details.
func clientCert(l *fielderr.List, c *hcm.Config, m *hcmv3.HttpConnectionManager) {
	switch m.ForwardClientCertDetails {
	case hcmv3.HttpConnectionManager_SANITIZE:
		c.ForwardCert = hcm.SanitizeCert
	case hcmv3.HttpConnectionManager_FORWARD_ONLY:
		c.ForwardCert = hcm.ForwardCertOnly
	case hcmv3.HttpConnectionManager_APPEND_FORWARD:
		c.ForwardCert = hcm.AppendForwardCert
	case hcmv3.HttpConnectionManager_SANITIZE_SET:
		c.ForwardCert = hcm.SanitizeSetCert
	case hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY:
		c.ForwardCert = hcm.AlwaysForwardCert
	default:
		l.Addf("forward_client_cert_details", "unknown value %d", m.ForwardClientCertDetails)
	}
	d := m.SetCurrentClientCertDetails
	c.CertDetails = hcm.CertDetails{Subject: d.GetSubject().GetValue(), Cert: d.GetCert(), Chain: d.GetChain(), DNS: d.GetDns(), URI: d.GetUri()}
}
