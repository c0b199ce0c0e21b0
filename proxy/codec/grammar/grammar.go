// Package grammar is what may stand in an HTTP message, whichever version carries
// it (RFC 9110, RFC 3986): tokens, field values, hosts, request targets.
package grammar

import "encoding/binary"

// tokens marks the bytes of a token (RFC 9110 §5.6.2).
var tokens = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

// TokenByte tells whether c may be a byte of a token.
func TokenByte(c byte) bool { return tokens[c] }

// IsToken tells whether b is a token.
func IsToken(b []byte) bool {
	for _, c := range b {
		if !tokens[c] {
			return false
		}
	}
	return len(b) > 0
}

// ValidValue tells whether b may be a field value: no control bytes but HTAB
// (RFC 9110 §5.5). Eight bytes are looked at together; only a word with a byte
// below 0x20 or a DEL is looked at again.
func ValidValue(b []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(b) >= 8 {
		v := binary.LittleEndian.Uint64(b)
		x := v ^ ones*0x7f
		if ((v-ones*0x20)&^v|(x-ones)&^x)&highs != 0 && !validSlow(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return validSlow(b)
}

func validSlow(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// ValidTarget tells whether b may be a request target: printable ASCII without
// space, and no fragment. Bytes above 0x7f are refused: RFC 3986 has none.
func ValidTarget(b []byte) bool {
	for _, c := range b {
		if c <= 0x20 || c >= 0x7f || c == '#' {
			return false
		}
	}
	return len(b) > 0
}

// ValidHost tells whether b may be the value of Host: a host with an optional
// port, no userinfo (RFC 9110 §7.2, RFC 3986 §3.2). Empty is allowed by the
// grammar and refused by the caller where a host is needed.
func ValidHost(b []byte) bool {
	if len(b) > 0 && b[0] == '[' {
		return validIPLiteral(b)
	}
	colon := -1
	for i, c := range b {
		switch {
		case c == ':':
			if colon >= 0 {
				return false
			}
			colon = i
		case colon >= 0:
			if c < '0' || c > '9' {
				return false
			}
		case !hostTable[c]:
			return false
		}
	}
	return colon != 0
}

func validIPLiteral(b []byte) bool {
	i := 1
	for i < len(b) && b[i] != ']' {
		c := b[i]
		if !hostTable[c] && c != ':' {
			return false
		}
		i++
	}
	if i == len(b) || i == 1 {
		return false
	}
	rest := b[i+1:]
	if len(rest) == 0 {
		return true
	}
	if rest[0] != ':' {
		return false
	}
	for _, c := range rest[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// hostTable marks unreserved, sub-delims and "%" (RFC 3986 §3.2.2 reg-name).
var hostTable = func() (t [256]bool) {
	for _, c := range []byte("-._~!$&'()*+,;=%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

// Trim drops optional white space (SP and HTAB) at both ends, giving offsets.
func Trim(b []byte, from, to int) (int, int) {
	for from < to && (b[from] == ' ' || b[from] == '\t') {
		from++
	}
	for to > from && (b[to-1] == ' ' || b[to-1] == '\t') {
		to--
	}
	return from, to
}

// EqualFold compares ASCII in any letter case with lower-case s.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// EachToken calls f for each element of a comma-separated list (RFC 9110 §5.6.1).
func EachToken(v []byte, f func(tok []byte)) {
	for len(v) > 0 {
		end := len(v)
		for i, c := range v {
			if c == ',' {
				end = i
				break
			}
		}
		a, b := Trim(v, 0, end)
		if b > a {
			f(v[a:b])
		}
		if end == len(v) {
			return
		}
		v = v[end+1:]
	}
}

// ParseLength reads a Content-Length: digits only, no sign, no overflow.
func ParseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
