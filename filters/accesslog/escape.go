package accesslog

import "unicode/utf8"

// escapes is how bytes that would be misread are written.
type escapes uint8

const (
	textEscapes escapes = iota // control characters only: a value must not end its line
	jsonEscapes                // RFC 8259 §7
)

const hexDigits = "0123456789abcdef"

// escape rewrites dst[from:] so that a value cannot be taken for more than a
// value. Nearly every value is left as it is, after one look at each byte.
func escape(dst []byte, from int, e escapes) []byte {
	for i := from; i < len(dst); i++ {
		if !plain[e][dst[i]] {
			return escapeSlowly(dst, i, e)
		}
	}
	return dst
}

// plain tells which bytes stay. In JSON those from 0x80 on must be UTF-8, which
// escapeSlowly looks at.
var plain = func() (t [2][256]bool) {
	for c := 0x20; c < 256; c++ {
		t[textEscapes][c] = c != 0x7f
		t[jsonEscapes][c] = c < 0x7f && c != '"' && c != '\\'
	}
	return t
}()

// escapeSlowly moves the rest behind itself and writes it again in its place.
func escapeSlowly(dst []byte, from int, e escapes) []byte {
	end := len(dst)
	dst = append(dst, dst[from:]...)
	// Each byte becomes at most 6: the writer may overtake the reader, so the
	// value is written behind its copy and moved back at the end.
	out := len(dst)
	for i := end; i < out; {
		c := dst[i]
		if plain[e][c] {
			dst = append(dst, c)
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(dst[i:out])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, `\ufffd`...)
			} else {
				dst = append(dst, dst[i:i+n]...)
			}
			i += n
			continue
		}
		dst = appendEscape(dst, c, e)
		i++
	}
	n := copy(dst[from:], dst[out:])
	return dst[:from+n]
}

func appendEscape(dst []byte, c byte, e escapes) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if e == jsonEscapes {
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}
