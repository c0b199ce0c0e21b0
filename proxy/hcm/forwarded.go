package hcm

import (
	"bytes"
	"net/netip"
	"unsafe"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

var (
	xEnvoyInternal        = header.Intern("x-envoy-internal")
	xEnvoyExternalAddress = header.Intern("x-envoy-external-address")
)

// internalOnly are removed from requests that do not come from an internal
// address: they steer retries and timeouts (Envoy: cleanInternalHeaders).
var internalOnly = []header.Name{
	header.Intern("x-envoy-retriable-status-codes"), header.Intern("x-envoy-retriable-header-names"),
	header.Intern("x-envoy-retry-on"), header.Intern("x-envoy-retry-grpc-on"), header.Intern("x-envoy-max-retries"),
	header.Intern("x-envoy-upstream-alt-stat-name"), header.Intern("x-envoy-upstream-rq-timeout-ms"),
	header.Intern("x-envoy-upstream-rq-per-try-timeout-ms"), header.Intern("x-envoy-expected-rq-timeout-ms"),
	header.Intern("x-envoy-force-trace"), header.Intern("x-envoy-ip-tags"), header.Intern("x-envoy-original-url"),
	header.Intern("x-envoy-hedge-on-per-try-timeout"), header.Intern("x-envoy-upstream-rq-timeout-alt-response"),
}

// edgeOnly are removed when the request enters here from outside.
var edgeOnly = []header.Name{
	header.Intern("x-envoy-decorator-operation"), header.Intern("x-envoy-downstream-service-cluster"),
	header.Intern("x-envoy-downstream-service-node"), header.Intern("x-envoy-original-path"),
}

// forwarded settles who the client is, and the x-forwarded-* and x-envoy-* fields
// that say so (Envoy: HTTP header manipulation, x-forwarded-for).
func (m *Manager) forwarded(s *stream.Stream) {
	cfg, h, ci := m.cfg, &s.Request, &s.Conn.Info
	peer := ci.Source.Addr()
	if cfg.Transparent {
		// What a client says of itself is neither believed nor taken away.
		s.Client, s.EdgeRequest, s.Transparent = peer, true, true
		if !h.Has(header.Scheme) {
			h.AddString(header.Scheme, scheme(s.TLS))
		}
		return
	}
	xff := oneXFF(h)
	var client netip.Addr
	single := false
	if cfg.UseRemoteAddress {
		client, single = peer, len(xff) == 0
		if cfg.TrustedHops > 0 {
			if a, ok := hop(xff, int(cfg.TrustedHops)-1); ok {
				client = a
			}
		}
		if !cfg.SkipXFFAppend {
			var b [48]byte
			appendXFF(h, peer.AppendTo(b[:0]))
		}
	} else {
		client = peer
		if a, ok := hop(xff, int(cfg.TrustedHops)); ok {
			client, single = a, bytes.IndexByte(xff, ',') < 0
		}
	}
	if !h.Has(header.XForwardedProto) || cfg.UseRemoteAddress && cfg.TrustedHops == 0 {
		h.SetString(header.XForwardedProto, scheme(s.TLS))
	}
	if m.cfg.SchemeToOverwrite != "" { // Envoy 1.40 sets both, measured
		h.SetString(header.Scheme, m.cfg.SchemeToOverwrite)
		h.SetString(header.XForwardedProto, m.cfg.SchemeToOverwrite)
	} else if !h.Has(header.Scheme) {
		h.AddString(header.Scheme, scheme(string(h.Value(header.XForwardedProto)) == "https"))
	}
	s.Client = client
	s.Internal = single && m.internal(client)
	s.EdgeRequest = cfg.UseRemoteAddress && !s.Internal
	if s.Internal {
		h.SetString(xEnvoyInternal, "true")
		return
	}
	h.Del(xEnvoyInternal)
	if s.EdgeRequest {
		for _, n := range edgeOnly {
			h.Del(n)
		}
		var b [48]byte
		h.Set(xEnvoyExternalAddress, client.AppendTo(b[:0]))
	}
	if t := s.Table(); t != nil {
		for _, n := range t.InternalOnlyHeaders {
			h.Del(n)
		}
	}
	for _, n := range internalOnly {
		h.Del(n)
	}
}

// oneXFF gives x-forwarded-for, several fields of which become one (RFC 9110
// §5.3): the last hop is the last of all.
func oneXFF(h *header.Headers) []byte {
	v, _, ok := h.Joined(header.XForwardedFor, nil)
	if ok && h.Count(header.XForwardedFor) > 1 {
		h.Set(header.XForwardedFor, v)
		v = h.Value(header.XForwardedFor)
	}
	return v
}

func scheme(tls bool) string {
	if tls {
		return "https"
	}
	return "http"
}

func (m *Manager) internal(a netip.Addr) bool {
	for _, p := range m.cfg.InternalNets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// appendXFF adds an address at the end of the x-forwarded-for list.
func appendXFF(h *header.Headers, addr []byte) {
	old, ok := h.Get(header.XForwardedFor)
	if !ok {
		h.Add(header.XForwardedFor, addr)
		return
	}
	var b [256]byte
	v := append(append(append(b[:0], old...), ','), addr...)
	h.Set(header.XForwardedFor, v)
}

// hop reads the n-th address from the right of an x-forwarded-for list.
func hop(xff []byte, n int) (netip.Addr, bool) {
	for len(xff) > 0 {
		i := bytes.LastIndexByte(xff, ',')
		if n == 0 {
			return parseAddr(bytes.TrimSpace(xff[i+1:]))
		}
		if i < 0 {
			break
		}
		xff, n = xff[:i], n-1
	}
	return netip.Addr{}, false
}

// parseAddr is netip.ParseAddr without a copy of the text: an address holds none
// of it unless it has a zone, which no address of another machine has.
func parseAddr(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || bytes.IndexByte(b, '%') >= 0 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(unsafe.String(&b[0], len(b)))
	return a, err == nil
}
