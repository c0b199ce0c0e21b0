package h1

import (
	"bytes"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
)

// bodyReader finds the pieces and the end of a message body in the bytes that
// have arrived. It reads nothing itself.
type bodyReader struct {
	kind     BodyKind
	left     int64 // of a Length body, or of the current chunk
	state    chunkState
	trailers *header.Headers
	limits   *Limits
	scan     scanner
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	chunkTrailer
	bodyOver
)

// maxChunkLine bounds a chunk's size line: 16 digits and some extension.
const maxChunkLine = 4 << 10

func (r *bodyReader) start(m *Message, trailers *header.Headers, l *Limits) {
	*r = bodyReader{kind: m.Body, left: m.Length, trailers: trailers, limits: l}
	if m.Body == NoBody {
		r.state = bodyOver
	}
}

// over tells whether the whole body has been given out.
func (r *bodyReader) over() bool { return r.state == bodyOver }

// next takes from b: p is body data, n how many bytes of b it and its framing
// took, end says that the body is over. With p and end zero, more bytes are
// needed. It must not be called again once end was true.
func (r *bodyReader) next(b []byte) (p []byte, n int, end bool, err error) {
	switch r.kind {
	case NoBody:
		r.state = bodyOver
		return nil, 0, true, nil
	case UntilClose:
		return b, len(b), false, nil
	case Length:
		k := int(min(int64(len(b)), r.left))
		r.took(k)
		return b[:k], k, r.over(), nil
	}
	for {
		switch r.state {
		case chunkSize:
			k, err := r.size(b[n:])
			if err != nil || k == 0 {
				return nil, n, false, err
			}
			n += k
		case chunkData:
			k := int(min(int64(len(b)-n), r.left))
			if k == 0 {
				return nil, n, false, nil
			}
			p = b[n : n+k]
			n += k
			r.took(k)
			if r.state != chunkEnd {
				return p, n, false, nil
			}
			// The end of the chunk, and of the body, is likely here too.
			k, end, err := r.after(b[n:])
			return p, n + k, end, err
		default:
			k, end, err := r.after(b[n:])
			if err != nil || end || k == 0 {
				return nil, n + k, end, err
			}
			n += k
		}
	}
}

// took accounts for body bytes that were given out, or moved past the reader by
// a splice.
func (r *bodyReader) took(n int) {
	r.left -= int64(n)
	if r.left == 0 {
		if r.kind == Length {
			r.state = bodyOver
		} else {
			r.state = chunkEnd
		}
	}
}

// after takes what follows chunk data: its CRLF, a last chunk, trailers. It
// stops where data begins or bytes run out.
func (r *bodyReader) after(b []byte) (n int, end bool, err error) {
	for {
		k := 0
		switch r.state {
		case chunkEnd:
			if len(b)-n < 2 {
				if len(b)-n == 1 && b[n] != '\r' {
					return n, false, ErrChunkEnd
				}
				return n, false, nil
			}
			if !bytes.HasPrefix(b[n:], crlf) {
				return n, false, ErrChunkEnd
			}
			r.state, k = chunkSize, 2
		case chunkSize:
			if k, err = r.size(b[n:]); err != nil || k == 0 {
				return n, false, err
			}
		case chunkTrailer:
			k, err = r.trailer(b[n:])
			if err != nil || k == 0 {
				return n, false, err
			}
			r.state = bodyOver
			return n + k, true, nil
		default:
			return n, false, nil
		}
		n += k
	}
}

// size reads chunk-size [chunk-ext] CRLF (RFC 9112 §7.1); 0 is "more bytes".
func (r *bodyReader) size(b []byte) (int, error) {
	eol := bytes.IndexByte(b, '\n')
	if eol < 0 {
		if len(b) > maxChunkLine {
			return 0, ErrChunkExt
		}
		return 0, checkSizePrefix(b)
	}
	if eol == 0 || b[eol-1] != '\r' {
		return 0, ErrChunkSize
	}
	if eol > maxChunkLine {
		return 0, ErrChunkExt
	}
	l := b[:eol-1]
	size, i := int64(0), 0
	for ; i < len(l); i++ {
		d := hexDigit(l[i])
		if d < 0 {
			break
		}
		if i == 15 { // 2^60 bytes: no honest chunk
			return 0, ErrChunkSize
		}
		size = size<<4 | int64(d)
	}
	if i == 0 {
		return 0, ErrChunkSize
	}
	if err := chunkExtension(l[i:]); err != nil {
		return 0, err
	}
	r.left, r.state = size, chunkData
	if size == 0 {
		r.state = chunkTrailer
	}
	return eol + 1, nil
}

// checkSizePrefix refuses at once what can no longer become a size line, so that
// garbage does not wait for a line end.
func checkSizePrefix(b []byte) error {
	if len(b) > 0 && hexDigit(b[0]) < 0 {
		return ErrChunkSize
	}
	return nil
}

// chunkExtension accepts what RFC 9112 §7.1.1 allows, except that white space
// around it is not: parsers differ there.
func chunkExtension(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if b[0] != ';' {
		return ErrChunkSize
	}
	if !grammar.ValidValue(b) {
		return ErrChunkExt
	}
	return nil
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// trailer reads the trailer section and its empty line (RFC 9112 §7.1.2).
func (r *bodyReader) trailer(b []byte) (int, error) {
	if bytes.HasPrefix(b, crlf) {
		return 2, nil
	}
	if len(b) < 2 {
		return 0, nil
	}
	n, err := r.scan.next(b, r.limits.MaxHead)
	if err != nil || n == 0 {
		return 0, err
	}
	t := r.trailers
	base := t.Block(b[:n])
	var f framing
	var m Message
	if err := f.fields(t, base, base+n, r.limits.MaxFields, false, &m); err != nil {
		return 0, err
	}
	for i := range t.Len() {
		switch t.IDAt(i) {
		case header.IDContentLength, header.IDTransferEncoding, header.IDAuthority, header.IDConnection, header.IDTE, header.IDUpgrade,
			header.IDTrailer, header.IDExpect, header.IDKeepAlive, header.IDProxyConnection:
			return 0, ErrTrailer
		}
	}
	return n, nil
}
