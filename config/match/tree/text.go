package tree

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// param finds the first parameter whose decoded name is key in the query of a request path; the value is as it stands.
func param(path []byte, key string) ([]byte, bool) {
	start := bytes.IndexByte(path, '?')
	if start < 0 {
		return nil, false
	}
	q := path[start+1:]
	if i := bytes.IndexByte(q, '#'); i >= 0 {
		q = q[:i]
	}
	for len(q) > 0 {
		one := q
		if i := bytes.IndexByte(q, '&'); i >= 0 {
			one, q = q[:i], q[i+1:]
		} else {
			q = nil
		}
		name, v := one, one[len(one):]
		if i := bytes.IndexByte(one, '='); i >= 0 {
			name, v = one[:i], one[i+1:]
		}
		if decodesTo(name, key) {
			return v, true
		}
	}
	return nil, false
}

// decodesTo compares percent-encoded text with plain text.
func decodesTo(b []byte, want string) bool {
	n := 0
	for len(b) > 0 {
		c, size := decode(b)
		if n == len(want) || want[n] != c {
			return false
		}
		n++
		b = b[size:]
	}
	return n == len(want)
}

// appendDecoded appends percent-encoded text, decoded. What is not two hexadecimal digits after "%" stays, as does "+".
func appendDecoded(dst, b []byte) []byte {
	for len(b) > 0 {
		c, size := decode(b)
		dst = append(dst, c)
		b = b[size:]
	}
	return dst
}

// decode reads one byte of percent-encoded text, which is not empty.
func decode(b []byte) (c byte, size int) {
	if b[0] == '%' && len(b) >= 3 {
		hi, ok1 := hex(b[1])
		lo, ok2 := hex(b[2])
		if ok1 && ok2 {
			return byte(hi<<4 | lo), 3
		}
	}
	return b[0], 1
}

func hex(c byte) (uint16, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint16(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint16(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint16(c-'A') + 10, true
	}
	return 0, false
}

// parseAddr is netip.ParseAddr for bytes, without zones: unlike that it allocates nothing, be the text an address or not. The
// address is unmapped.
func parseAddr(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') < 0 {
		a, ok := parse4(b)
		return netip.AddrFrom4(a), ok
	}
	a, ok := parse6(b)
	return netip.AddrFrom16(a).Unmap(), ok
}

// parse4 reads four decimal numbers without leading zeros, as RFC 6943 §3.1.1 calls strict.
func parse4(b []byte) (a [4]byte, ok bool) {
	for i := range a {
		if i > 0 {
			if len(b) == 0 || b[0] != '.' {
				return a, false
			}
			b = b[1:]
		}
		n, digits := 0, 0
		for digits < len(b) && b[digits]-'0' <= 9 {
			if digits > 0 && n == 0 {
				return a, false
			}
			if n = n*10 + int(b[digits]-'0'); n > 255 {
				return a, false
			}
			digits++
		}
		if digits == 0 {
			return a, false
		}
		a[i], b = byte(n), b[digits:]
	}
	return a, len(b) == 0
}

// parse6 reads the text form of RFC 4291 §2.2.
func parse6(b []byte) (a [16]byte, ok bool) {
	gap, n := -1, 0 // where "::" stands, and the bytes read
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		if n == 16 {
			return a, false
		}
		v, digits := uint16(0), 0
		for digits < len(b) && digits < 5 {
			d, isHex := hex(b[digits])
			if !isHex {
				break
			}
			v = v<<4 | d
			digits++
		}
		if digits == 0 || digits > 4 {
			return a, false
		}
		if digits < len(b) && b[digits] == '.' { // the last four bytes in IPv4's form
			v4, ok := parse4(b)
			if !ok || n > 12 || gap < 0 && n != 12 {
				return a, false
			}
			copy(a[n:], v4[:])
			n += 4
			break
		}
		binary.BigEndian.PutUint16(a[n:], v)
		n += 2
		b = b[digits:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return a, false
		}
		b = b[1:]
		if b[0] == ':' {
			if gap >= 0 {
				return a, false
			}
			gap, b = n, b[1:]
		}
	}
	if n == 16 {
		return a, gap < 0
	}
	if gap < 0 {
		return a, false
	}
	copy(a[16-(n-gap):], a[gap:n])
	clear(a[gap : 16-(n-gap)])
	return a, true
}
