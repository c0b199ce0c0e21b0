package h1

import (
	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// parseResponse parses the whole response head in raw into h and m; head and
// connect tell what the request was, since that decides whether a body follows.
// The status comes first, as :status.
func parseResponse(raw []byte, h *header.Headers, m *Message, l *Limits, head, connect bool) error {
	base := h.Block(raw)
	b := h.Bytes()
	*m = Message{Size: len(raw)}
	eol, err := line(b, base)
	if err != nil {
		return err
	}
	// status-line = HTTP-version SP 3DIGIT SP [reason] (RFC 9112 §4); the second
	// space is missing in the wild when there is no reason.
	s := b[base:eol]
	if len(s) < 12 || s[8] != ' ' || len(s) > 12 && s[12] != ' ' {
		return ErrStatusLine
	}
	v, ok := version(s[:8])
	if !ok {
		return ErrVersion
	}
	m.Version = v
	code, ok := grammar.ParseLength(s[9:12])
	if !ok || code < 100 || !grammar.ValidValue(s) {
		return ErrStatusLine
	}
	m.Code = int(code)
	h.AddPseudo(header.Status, base+9, 3)
	var f framing
	if err := f.fields(h, eol+2, base+len(raw), l.MaxFields, false, m); err != nil {
		return err
	}
	m.KeepAlive = f.persistent(v)
	m.Upgrade = m.Code == 101 && f.upgradeField
	if err := f.responseBody(h, m, head, connect); err != nil {
		return err
	}
	return stripHop(h, &f, m.Upgrade)
}

// responseBody decides where a response ends (RFC 9112 §6.3).
func (f *framing) responseBody(h *header.Headers, m *Message, head, connect bool) error {
	switch {
	case f.te && m.Version == info.HTTP10:
		return ErrTEIn10
	case f.te && f.lengths > 0:
		return ErrLengthAndTE
	}
	f.dedupeLength(h)
	switch {
	case head || m.Code < 200 || m.Code == 204 || m.Code == 304 || connect && m.Code < 300:
		m.Body = NoBody
		if m.Code < 200 || m.Code == 204 {
			h.Del(header.ContentLength)
		}
	case f.chunked:
		m.Body = Chunked
	case f.lengths > 0:
		if f.length > 0 {
			m.Body, m.Length = Length, f.length
		}
	default:
		m.Body = UntilClose
		m.KeepAlive = false
	}
	return nil
}
