package h1

import (
	"bytes"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// RequestRules are the choices a server has where HTTP leaves one.
type RequestRules struct {
	Limits
	AcceptHTTP10       bool
	DefaultHost        string // Host of an HTTP/1.0 request without one (Envoy: default_host_for_http_10)
	AllowChunkedLength bool   // Content-Length beside chunked is dropped rather than refused
	Underscores        Underscores
}

// Underscores is what happens to field names with "_" (Envoy:
// headers_with_underscores_action).
type Underscores uint8

// The actions.
const (
	AllowUnderscores Underscores = iota
	RejectUnderscores
	DropUnderscores
)

// parseRequest parses the whole head in raw, its empty line included, into h and
// m. The pseudo-headers :method, :scheme (of an absolute-form target), :path come
// after the fields; Host is :authority, at its place.
func parseRequest(raw []byte, h *header.Headers, m *Message, r *RequestRules) error {
	base := h.Block(raw)
	b := h.Bytes()
	*m = Message{Size: len(raw)}
	end := base + len(raw)
	eol, err := line(b, base)
	if err != nil {
		return err
	}
	if err := requestLine(b, base, eol, m); err != nil {
		return err
	}
	var f framing
	if err := f.fields(h, eol+2, end, r.MaxFields, true, m); err != nil {
		return err
	}
	if m.Version == info.HTTP10 && !r.AcceptHTTP10 {
		return ErrHTTP10
	}
	if m.Version == info.HTTP10 && m.Expect {
		m.Expect = false // RFC 9110 §10.1.1: to be ignored
		h.Del(header.Expect)
	}
	if err := f.authority(h, m, r); err != nil {
		return err
	}
	if err := f.requestBody(h, m, r); err != nil {
		return err
	}
	if r.Underscores != AllowUnderscores {
		if err := underscores(h, r.Underscores); err != nil {
			return err
		}
	}
	m.KeepAlive = f.persistent(m.Version)
	m.Upgrade = f.upgradeToken && f.upgradeField && m.Version == info.HTTP11
	if err := stripHop(h, &f, m.Upgrade); err != nil {
		return err
	}
	h.AddPseudo(header.Method, m.Method.off, m.Method.n)
	if m.Scheme.n > 0 {
		h.AddPseudo(header.Scheme, m.Scheme.off, m.Scheme.n)
	}
	if m.Path.n > 0 { // CONNECT has none
		h.AddPseudo(header.Path, m.Path.off, m.Path.n)
	}
	return nil
}

// requestLine parses method SP request-target SP HTTP-version (RFC 9112 §3).
func requestLine(b []byte, off, eol int, m *Message) error {
	sp := bytes.IndexByte(b[off:eol], ' ')
	if sp <= 0 {
		return ErrStartLine
	}
	method := b[off : off+sp]
	if !grammar.IsToken(method) {
		return ErrMethod
	}
	m.Method = span{off, sp}
	m.Head = string(method) == "HEAD"
	m.Connect = string(method) == "CONNECT"
	rest := off + sp + 1
	sp = bytes.LastIndexByte(b[rest:eol], ' ')
	if sp <= 0 {
		return ErrStartLine
	}
	v, ok := version(b[rest+sp+1 : eol])
	if !ok {
		return ErrVersion
	}
	m.Version = v
	target := span{rest, sp}
	if !grammar.ValidTarget(b[rest : rest+sp]) {
		return ErrTarget
	}
	return m.target(b, target)
}

// target takes the request target apart by its four forms (RFC 9112 §3.2).
func (m *Message) target(b []byte, t span) error {
	v := b[t.off : t.off+t.n]
	switch {
	case m.Connect:
		colon := bytes.LastIndexByte(v, ':')
		if !grammar.ValidHost(v) || colon <= 0 || colon == len(v)-1 {
			return ErrConnectTarget
		}
		m.Authority, m.Path = t, span{t.off, 0}
		m.AbsoluteForm = true
	case v[0] == '/':
		m.Path = t
	case len(v) == 1 && v[0] == '*':
		if string(b[m.Method.off:m.Method.off+m.Method.n]) != "OPTIONS" {
			return ErrTarget
		}
		m.Path = t
	default:
		return m.absolute(b, t)
	}
	return nil
}

// absolute takes apart scheme "://" authority path-abempty ["?" query].
func (m *Message) absolute(b []byte, t span) error {
	v := b[t.off : t.off+t.n]
	n := bytes.Index(v, []byte("://"))
	if n < 0 || !grammar.EqualFold(v[:n], "http") && !grammar.EqualFold(v[:n], "https") {
		return ErrTarget
	}
	m.Scheme = span{t.off, n}
	from := n + 3
	end := len(v)
	if i := bytes.IndexAny(v[from:], "/?"); i >= 0 {
		end = from + i
	}
	if end == from || !grammar.ValidHost(v[from:end]) {
		return ErrHost
	}
	if end < len(v) && v[end] == '?' {
		// "http://host?query" has an empty path, which is not one in origin form.
		return ErrTarget
	}
	m.Authority = span{t.off + from, end - from}
	m.Path = span{t.off + end, len(v) - end}
	m.AbsoluteForm = true
	return nil
}

// authority settles the host (RFC 9112 §3.2, §3.2.2): that of an absolute-form
// target replaces Host.
func (f *framing) authority(h *header.Headers, m *Message, r *RequestRules) error {
	if f.hosts == 0 && m.Version == info.HTTP11 {
		return ErrHostMissing
	}
	switch {
	case m.AbsoluteForm:
		// note() has overwritten m.Authority with Host's; take the target's again.
		v := append([]byte(nil), m.targetAuthority(h)...)
		h.Set(header.Authority, v)
	case f.hosts == 0:
		if r.DefaultHost == "" {
			return ErrHostMissing
		}
		h.AddString(header.Authority, r.DefaultHost)
	}
	if v := h.Value(header.Authority); len(v) == 0 {
		return ErrHost
	}
	if m.Path.n == 0 && !m.Connect {
		// "http://host" means "/" (RFC 9112 §3.2.1).
		m.Path = span{h.Block([]byte("/")), 1}
	}
	return nil
}

// targetAuthority reads the authority of an absolute-form or authority-form
// target again: it ends where the path begins, or with the target.
func (m *Message) targetAuthority(h *header.Headers) []byte {
	b := h.Bytes()
	if m.Connect {
		off := m.Method.off + m.Method.n + 1
		return b[off : off+bytes.IndexByte(b[off:], ' ')]
	}
	off := m.Scheme.off + m.Scheme.n + 3
	return b[off:m.Path.off]
}

// requestBody decides where a request ends (RFC 9112 §6.3).
func (f *framing) requestBody(h *header.Headers, m *Message, r *RequestRules) error {
	switch {
	case f.te && m.Version == info.HTTP10:
		return ErrTEIn10
	case f.chunked && f.lengths > 0 && !r.AllowChunkedLength:
		return ErrLengthAndTE
	case f.chunked:
		h.Del(header.ContentLength)
		m.Body = Chunked
	case f.lengths > 0:
		f.dedupeLength(h)
		if f.length > 0 {
			m.Body, m.Length = Length, f.length
		}
	}
	if m.Connect && m.Body != NoBody {
		return ErrConnectContent
	}
	return nil
}

func underscores(h *header.Headers, a Underscores) error {
	for i := 0; i < h.Len(); {
		name, _ := h.At(i)
		if bytes.IndexByte(name, '_') < 0 {
			i++
			continue
		}
		if a == RejectUnderscores {
			return ErrUnderscore
		}
		h.DelAt(i)
	}
	return nil
}
