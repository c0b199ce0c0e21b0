package hcm

import (
	"bytes"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// A continuer is a codec that can leave the 100 (Continue) to the upstream.
type continuer interface{ ProxyContinue() }

// prepare makes a request canonical before anything is decided by it: host,
// path, forwarding headers, request id. It answers, and returns false, when the
// request may not go on (Envoy: ConnectionManagerUtility::mutateRequestHeaders).
func (m *Manager) prepare(s *stream.Stream, codec continuer, a *arrival) bool {
	cfg := m.cfg
	switch {
	case a.expect && cfg.Proxy100Continue:
		codec.ProxyContinue()
	case a.expect:
		s.Request.Del(header.Expect) // answered by the codec when the body is wanted
	}
	m.host(s)
	if !m.named(s) || !m.path(s) {
		return false
	}
	m.forwarded(s)
	m.clientCert(s)
	m.requestID(s)
	if cfg.Via != "" {
		appendValue(&s.Request, header.Via, cfg.Via)
	}
	if s.UpgradeType != nil && !m.upgradeAllowed(s) {
		if !foldEqual(s.UpgradeType, "h2c") {
			s.MustClose()
			s.Reply(403, 0, "upgrade_failed", "")
			cluster(s)
			return false
		}
		// Clients ask for HTTP/2 in the clear without meaning to insist: an ordinary
		// request (RFC 9110 §7.8).
		s.Request.Del(header.Upgrade)
		s.UpgradeType = nil
	}
	m.track(s)
	return true
}

// named judges the host by the connection's destination, where its listener asks for it.
func (m *Manager) named(s *stream.Stream) bool {
	check := s.Conn.NameCheck
	if check == nil {
		return true
	}
	v, deny := check(s.Authority, false)
	if s.Info.NameCheck = v; v == info.NameUnknown {
		s.NameAsked = bytes.Clone(s.Authority)
	}
	if deny {
		s.Reply(403, 0, "name_mismatch", "")
	}
	return !deny
}

// upgradeAllowed looks at the route's upgrade_configs, which win over the
// connection manager's.
func (m *Manager) upgradeAllowed(s *stream.Stream) bool {
	if r := s.Route(); r != nil && r.Forward != nil {
		for _, u := range r.Forward.Upgrades {
			if foldEqual(s.UpgradeType, u.Type) {
				return u.Enabled
			}
		}
	}
	for _, u := range m.cfg.Upgrades {
		if foldEqual(s.UpgradeType, u.Type) {
			return u.Enabled
		}
	}
	return false
}

// host strips what the configuration says from the authority.
func (m *Manager) host(s *stream.Stream) {
	cfg := m.cfg
	a := s.Authority
	if cfg.StripAnyPort || cfg.StripMatchingPort {
		if i := bytes.LastIndexByte(a, ':'); i > bytes.LastIndexByte(a, ']') {
			if cfg.StripAnyPort || portIs(a[i+1:], s.Conn.Info.Dest.Port()) {
				a = a[:i]
			}
		}
	}
	if cfg.StripTrailingDot {
		if i := bytes.LastIndexByte(a, ':'); i > 0 && i > bytes.LastIndexByte(a, ']') && a[i-1] == '.' {
			a = append(append(make([]byte, 0, len(a)), a[:i-1]...), a[i:]...)
		} else if len(a) > 1 {
			a = bytes.TrimSuffix(a, []byte("."))
		}
	}
	if len(a) != len(s.Authority) && string(s.UpgradeType) != "connect" {
		s.SetAuthority(a)
	}
}

func portIs(digits []byte, port uint16) bool {
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return len(digits) > 0 && n == int(port)
}

// path applies normalize_path, merge_slashes and path_with_escaped_slashes_action.
func (m *Manager) path(s *stream.Stream) bool {
	cfg := m.cfg
	if !cfg.NormalizePath && !cfg.MergeSlashes && cfg.EscapedSlashes == KeepEscaped || len(s.Path) == 0 || s.Path[0] != '/' {
		return true
	}
	p, q := s.Path, []byte(nil)
	if i := bytes.IndexByte(p, '?'); i >= 0 {
		p, q = p[:i], p[i:]
	}
	if !needsPathWork(p) {
		return true
	}
	out, redirect, ok := canonicalPath(nil, p, cfg)
	if !ok {
		s.Reply(400, info.DownstreamProtocolError, "path_normalization_failed", "")
		return false
	}
	if bytes.Equal(out, p) {
		return true
	}
	m.stats.RqNormalized.Inc()
	out = append(out, q...)
	if redirect {
		m.stats.RqRedirNormal.Inc()
		s.Response.Add(header.Location, out)
		s.Reply(307, 0, "path_normalization_failed", "")
		return false
	}
	s.SetPath(out)
	return true
}

// needsPathWork tells whether p may be changed by any of the path rules: nearly
// every path is not.
func needsPathWork(p []byte) bool {
	for i, c := range p {
		switch c {
		case '%', '\\', '"', '<', '>', '^', '`', '{', '|', '}':
			return true
		case '/':
			if i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
				return true
			}
		}
	}
	return false
}

func appendValue(h *header.Headers, n header.Name, v string) {
	if old, ok := h.Get(n); ok {
		b := append(append(append([]byte(nil), old...), ", "...), v...)
		h.Set(n, b)
		return
	}
	h.AddString(n, v)
}

func foldEqual(b []byte, lower string) bool { return header.EqualFold(b, lower) }
