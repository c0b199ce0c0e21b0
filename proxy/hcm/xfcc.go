package hcm

import (
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// ForwardCert is what becomes of x-forwarded-client-cert (Envoy: forward_client_cert_details).
type ForwardCert uint8

// The ways. All but AlwaysForward remove what a client sends that presented no certificate.
const (
	SanitizeCert      ForwardCert = iota // it is removed
	ForwardCertOnly                      // it is left as it came
	AppendForwardCert                    // the client's certificate is added to it
	SanitizeSetCert                      // the client's certificate takes its place
	AlwaysForwardCert
)

// CertDetails are the parts of a client's certificate that are told, besides its hash (Envoy: set_current_client_cert_details).
type CertDetails struct{ Subject, Cert, Chain, DNS, URI bool }

var xForwardedClientCert = header.Intern("x-forwarded-client-cert")

// clientCert settles x-forwarded-client-cert: whoever reads it believes what it says of the client.
func (m *Manager) clientCert(s *stream.Stream) {
	i, h := &s.Conn.Info, &s.Request
	switch mode := m.cfg.ForwardCert; {
	case mode == AlwaysForwardCert:
	case mode == SanitizeCert, i.PeerCertificate == nil:
		h.Del(xForwardedClientCert)
	case mode == ForwardCertOnly:
	default:
		var room [512]byte
		v := room[:0]
		if mode == AppendForwardCert {
			if was, _, ok := h.Joined(xForwardedClientCert, nil); ok && len(was) > 0 {
				v = append(append(v, was...), ',')
			}
		}
		h.Set(xForwardedClientCert, AppendXFCC(v, i.PeerCertificate, i.LocalCertificate, m.cfg.CertDetails))
	}
}

// AppendXFCC appends the element of x-forwarded-client-cert that tells of a client's certificate, peer, and of ours (Envoy: HTTP header
// manipulation, x-forwarded-client-cert).
func AppendXFCC(dst []byte, peer, local *info.Certificate, d CertDetails) []byte {
	at := len(dst)
	key := func(k string) {
		if len(dst) > at {
			dst = append(dst, ';')
		}
		dst = append(append(dst, k...), '=')
	}
	if local != nil {
		for _, u := range local.URIs {
			key("By")
			dst = append(dst, u...)
		}
	}
	if peer.SHA256 != "" {
		key("Hash")
		dst = append(dst, peer.SHA256...)
	}
	for _, c := range [2]struct {
		on   bool
		name string
		all  bool
	}{{d.Cert, "Cert", false}, {d.Chain, "Chain", true}} {
		if c.on && len(peer.Chain) > 0 {
			key(c.name)
			dst = append(peer.AppendPEM(append(dst, '"'), c.all), '"')
		}
	}
	if d.Subject { // there even when it is empty
		key("Subject")
		dst = append(append(append(dst, '"'), peer.Subject...), '"')
	}
	if d.URI { // likewise
		for _, u := range peer.URIs {
			key("URI")
			dst = append(dst, u...)
		}
		if len(peer.URIs) == 0 {
			key("URI")
		}
	}
	if d.DNS {
		for _, n := range peer.DNSNames {
			key("DNS")
			dst = append(dst, n...)
		}
	}
	return dst
}
