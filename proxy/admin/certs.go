package admin

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// certs shows the certificates that listeners serve with and when they expire.
func (s *Server) certs(p *reply, _ *http.Request, _ url.Values) {
	m := &adminv3.Certificates{}
	now := time.Now()
	snap := s.o.Proxy.Snapshot()
	for name, r := range sorted(snap.Listeners) {
		l := snap.Listener(name)
		if l == nil {
			continue
		}
		raw := listenerOf(r)
		for _, c := range append(l.Chains[:len(l.Chains):len(l.Chains)], l.Default) {
			for i, leaf := range leaves(c) {
				m.Certificates = append(m.Certificates, &adminv3.Certificate{
					CertChain: []*adminv3.CertificateDetails{details(leaf, certPath(raw, c, i), now)},
				})
			}
		}
	}
	for _, i := range s.o.Proxy.Secrets() {
		if c := certificatesOf(&i, now); c != nil {
			m.Certificates = append(m.Certificates, c)
		}
	}
	p.message(m, true)
}

// certificatesOf shows a secret: its certificate, or the authorities it trusts; nil when it has neither.
func certificatesOf(i *proxy.SecretInfo, now time.Time) *adminv3.Certificate {
	sec := &tlsv3.Secret{}
	if a := raw(i.From, config.SecretURL); a == nil || a.UnmarshalTo(sec) != nil {
		return nil
	}
	m := &adminv3.Certificate{}
	if c := i.Secret.Certificate; c != nil {
		m.CertChain = append(m.CertChain, details(c.Leaf, pathOf(sec.GetTlsCertificate().GetCertificateChain()), now))
	}
	if v := i.Secret.Validation; v != nil {
		for _, c := range v.Roots {
			m.CaCert = append(m.CaCert, details(c, pathOf(sec.GetValidationContext().GetTrustedCa()), now))
		}
	}
	if len(m.CertChain)+len(m.CaCert) == 0 {
		return nil
	}
	return m
}

// pathOf is where a certificate was read from, in Envoy's words.
func pathOf(d *corev3.DataSource) string {
	if f := d.GetFilename(); f != "" {
		return f
	}
	return "<inline>"
}

// leaves are the certificates that the context of a chain that ends TLS has in it.
func leaves(c *listener.FilterChain) []*x509.Certificate {
	if c == nil || c.TransportSocket == nil {
		return nil
	}
	cfg, ok := c.TransportSocket.Config.(*tlsctx.ServerConfig)
	if !ok {
		return nil
	}
	var out []*x509.Certificate
	for _, r := range cfg.Certificates {
		if r.Inline != nil && r.Inline.Certificate != nil { // the others are among the secrets
			out = append(out, r.Inline.Certificate.Leaf)
		}
	}
	return out
}

// certPath is where the i-th certificate of a chain was read from.
func certPath(l *listenerv3.Listener, c *listener.FilterChain, i int) string {
	m := l.GetDefaultFilterChain()
	if c.Index >= 0 {
		if c.Index >= len(l.GetFilterChains()) {
			return ""
		}
		m = l.GetFilterChains()[c.Index]
	}
	t := &tlsv3.DownstreamTlsContext{}
	if m.GetTransportSocket().GetTypedConfig().UnmarshalTo(t) != nil {
		return ""
	}
	certs := t.GetCommonTlsContext().GetTlsCertificates()
	if i >= len(certs) {
		return ""
	}
	return pathOf(certs[i].GetCertificateChain())
}

func details(c *x509.Certificate, path string, now time.Time) *adminv3.CertificateDetails {
	d := &adminv3.CertificateDetails{Path: path}
	if c == nil {
		return d
	}
	d.SerialNumber = c.SerialNumber.Text(16)
	d.ValidFrom, d.ExpirationTime = timestamppb.New(c.NotBefore), timestamppb.New(c.NotAfter)
	if left := c.NotAfter.Sub(now); left > 0 {
		d.DaysUntilExpiration = uint64(left / (24 * time.Hour))
	}
	for _, n := range c.DNSNames {
		d.SubjectAltNames = append(d.SubjectAltNames, &adminv3.SubjectAlternateName{Name: &adminv3.SubjectAlternateName_Dns{Dns: n}})
	}
	for _, u := range c.URIs {
		d.SubjectAltNames = append(d.SubjectAltNames, &adminv3.SubjectAlternateName{Name: &adminv3.SubjectAlternateName_Uri{Uri: u.String()}})
	}
	for _, ip := range c.IPAddresses {
		d.SubjectAltNames = append(d.SubjectAltNames,
			&adminv3.SubjectAlternateName{Name: &adminv3.SubjectAlternateName_IpAddress{IpAddress: ip.String()}})
	}
	return d
}
