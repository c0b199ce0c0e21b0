package listener

import (
	"bytes"
	"net/netip"

	"github.com/weirproxy/weir/proxy/info"
)

// Misdirected tells whether a request for host, with or without a port, came on a
// connection that was made for another name: over TLS with an SNI that differs, while
// a connection for host would be another filter chain's than chosen. Clients reuse a
// connection for every name of its certificate (RFC 9113 §9.1.1); 421 makes them open
// another (RFC 9110 §15.5.20).
//
// It reads of c only what does not change once the chain is chosen.
func (s *Selector) Misdirected(c *info.Conn, chosen *FilterChain, host []byte) bool {
	if i := bytes.LastIndexByte(host, ':'); i > bytes.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = bytes.ToLower(bytes.TrimSuffix(host, []byte(".")))
	if len(c.ServerName) == 0 || len(host) == 0 || host[0] == '[' || bytes.Equal(host, c.ServerName) {
		return false
	}
	if _, err := netip.ParseAddr(string(host)); err == nil {
		return false // no address is ever an SNI (RFC 6066 §3)
	}
	other := info.Conn{
		Source: c.Source, DirectSource: c.DirectSource, Dest: c.Dest, Local: c.Local,
		Transport: c.Transport, ALPN: c.ALPN, ServerName: host,
	}
	f := s.Select(&other, nil)
	return f != nil && f != chosen
}
