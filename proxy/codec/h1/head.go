// Package h1 is HTTP/1.1 and HTTP/1.0 on the wire, in both directions: it parses
// heads and bodies and writes them anew, and knows no policy.
//
// A message has one interpretation or it is refused: every rule that two parsers
// could read differently is an error here (RFC 9112 §11.2). Everything is
// re-serialised from what was understood; field order and letter case are kept.
package h1

import (
	"bytes"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// Limits bound what a peer may send. Zero values are the defaults.
type Limits struct {
	MaxHead   int // bytes of a head, start line included; default 60 KiB (Envoy: max_request_headers_kb)
	MaxFields int // default 100 (Envoy: max_headers_count)
}

// WithDefaults fills in what is not set.
func (l Limits) WithDefaults() Limits {
	if l.MaxHead == 0 {
		l.MaxHead = 60 << 10
	}
	if l.MaxFields == 0 {
		l.MaxFields = 100
	}
	return l
}

// BodyKind is how the end of a message is found (RFC 9112 §6.3).
type BodyKind uint8

// The kinds of body.
const (
	NoBody BodyKind = iota
	Length
	Chunked
	UntilClose
)

// A Message is what a head says about itself, beyond its fields.
type Message struct {
	Version   info.Protocol
	Body      BodyKind
	Length    int64 // of a Length body
	KeepAlive bool  // the connection may carry another message
	Code      int   // responses: the status

	// Requests. Offsets into the header arena.
	Method, Path, Authority span
	Head, Connect           bool
	Expect                  bool // Expect: 100-continue
	AbsoluteForm            bool
	Scheme                  span // of an absolute-form target
	Upgrade                 bool // Connection: upgrade with an Upgrade field
	Size                    int  // bytes of the head
}

type span struct{ off, n int }

// scanner finds the end of a head that arrives in pieces, looking at no byte
// twice.
type scanner struct{ seen int }

// next gives the length of the head at the front of b, its empty line included,
// or 0 when more bytes are needed.
func (s *scanner) next(b []byte, max int) (int, error) {
	from := s.seen
	if from > 3 {
		from -= 3
	} else {
		from = 0
	}
	if i := bytes.Index(b[from:], crlfcrlf); i >= 0 {
		n := from + i + 4
		if n > max {
			return 0, ErrHeadSize
		}
		s.seen = 0
		return n, nil
	}
	if len(b) > max {
		return 0, ErrHeadSize
	}
	// A line that ends in LF alone would keep us waiting for an end that the
	// sender thinks it has sent.
	for i := from; i < len(b); {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			break
		}
		if i+j == 0 || b[i+j-1] != '\r' {
			return 0, ErrBareLF
		}
		i += j + 1
	}
	s.seen = len(b)
	return 0, nil
}

var (
	crlfcrlf = []byte("\r\n\r\n")
	crlf     = []byte("\r\n")
)

// line gives the end of the line that begins at from: the offset of its CRLF.
func line(b []byte, from int) (end int, err error) {
	j := bytes.IndexByte(b[from:], '\n')
	if j < 0 {
		return 0, ErrBareCR
	}
	end = from + j
	if end == from || b[end-1] != '\r' {
		return 0, ErrBareLF
	}
	return end - 1, nil
}

// framing collects what the fields of a head say about the message's end and the
// connection's.
type framing struct {
	lengths           int
	length            int64
	te, chunked       bool
	close_, keepAlive bool
	upgradeToken      bool
	upgradeField      bool
	hosts             int
	count             int  // of fields
	named             bool // Connection names fields
}

// maxName is the longest field name, in bytes, that a header.Headers can hold.
const maxName = 1<<16 - 1

// fields parses the field lines of the head in h's arena from off to its end,
// which is an empty line.
func (f *framing) fields(h *header.Headers, off, end int, max int, request bool, m *Message) error {
	b := h.Bytes()
	for off < end {
		eol, err := line(b, off)
		if err != nil {
			return err
		}
		if eol == off {
			return nil
		}
		if c := b[off]; c == ' ' || c == '\t' {
			return ErrObsFold
		}
		colon := bytes.IndexByte(b[off:eol], ':')
		if colon < 0 || !grammar.IsToken(b[off:off+colon]) {
			return ErrFieldName
		}
		name, nlen := off, colon
		if nlen > maxName {
			return ErrHeadSize
		}
		from, to := grammar.Trim(b, off+colon+1, eol)
		value := b[from:to]
		if !grammar.ValidValue(value) {
			return ErrFieldValue
		}
		if f.count++; f.count > max {
			return ErrFieldCount
		}
		id := header.Lookup(b[name : name+nlen])
		if id != header.Other {
			if err := f.note(id, value, request, m, from, to-from); err != nil {
				return err
			}
		}
		h.AddAt(id, name, nlen, from, to-from)
		off = eol + 2
	}
	return nil
}

// note takes in one field that matters for framing or the connection.
func (f *framing) note(id header.ID, v []byte, request bool, m *Message, off, n int) error {
	switch id {
	case header.IDContentLength:
		l, ok := grammar.ParseLength(v)
		if !ok {
			return ErrLength
		}
		if f.lengths > 0 && l != f.length {
			return ErrLengths
		}
		f.lengths++
		f.length = l
	case header.IDTransferEncoding:
		if f.te || len(v) == 0 {
			return ErrTE
		}
		f.te = true
		if !grammar.EqualFold(v, "chunked") {
			return codings(v)
		}
		f.chunked = true
	case header.IDConnection:
		f.connection(v)
	case header.IDUpgrade:
		f.upgradeField = true
	case header.IDAuthority:
		if !request {
			return nil
		}
		if f.hosts++; f.hosts > 1 {
			return ErrHostRepeated
		}
		if !grammar.ValidHost(v) {
			return ErrHost
		}
		m.Authority = span{off, n}
	case header.IDExpect:
		if request {
			if !grammar.EqualFold(v, "100-continue") {
				return ErrExpect
			}
			m.Expect = true
		}
	}
	return nil
}

// connection reads the tokens of a Connection field (RFC 9112 §9.6).
func (f *framing) connection(v []byte) {
	grammar.EachToken(v, func(tok []byte) {
		switch {
		case grammar.EqualFold(tok, "close"):
			f.close_ = true
		case grammar.EqualFold(tok, "keep-alive"):
			f.keepAlive = true
		case grammar.EqualFold(tok, "upgrade"):
			f.upgradeToken = true
		default:
			f.named = true
		}
	})
}

// codings tells what is wrong with a Transfer-Encoding that is not just
// "chunked": one that ends in one chunked is understood and not supported.
func codings(v []byte) error {
	total, chunked, last := 0, 0, false
	grammar.EachToken(v, func(tok []byte) {
		total++
		if last = grammar.EqualFold(tok, "chunked"); last {
			chunked++
		}
	})
	if chunked != 1 || !last || total == 1 {
		return ErrTE
	}
	return ErrTECoding
}

func hasToken(v []byte, s string) bool {
	found := false
	grammar.EachToken(v, func(tok []byte) { found = found || grammar.EqualFold(tok, s) })
	return found
}

// dedupeLength leaves one of several equal Content-Length fields.
func (f *framing) dedupeLength(h *header.Headers) {
	if f.lengths > 1 {
		h.Set(header.ContentLength, h.Value(header.ContentLength))
	}
}

// persistent says whether the connection outlives the message (RFC 9112 §9.3).
func (f *framing) persistent(v info.Protocol) bool {
	if f.close_ {
		return false
	}
	return v == info.HTTP11 || f.keepAlive
}

// version reads "HTTP/1.x".
func version(b []byte) (info.Protocol, bool) {
	if len(b) != 8 || string(b[:7]) != "HTTP/1." {
		return info.NoProtocol, false
	}
	switch b[7] {
	case '1':
		return info.HTTP11, true
	case '0':
		return info.HTTP10, true
	}
	return info.NoProtocol, false
}
