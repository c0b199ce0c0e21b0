// Package hpack is HPACK (RFC 7541) without allocations: what a proxy needs of it.
//
// x/net's package makes a string of every literal it decodes and finds what it
// encodes by two maps; origins that index what they never refer to again (nginx)
// made that a ninth of a request's CPU (docs/decisions/0009). Its Huffman encoder is
// used here, and its decoder and encoder are what the tests hold this one against.
package hpack

import "errors"

// ErrDecode says that a block breaks a rule of RFC 7541: the table is lost.
var ErrDecode = errors.New("hpack: malformed block (RFC 7541)")

// overhead is what each entry of a table counts besides its bytes (RFC 7541 §4.1).
const overhead = 32

// readInt reads an integer with an n-bit prefix (RFC 7541 §5.1).
func readInt(b []byte, n uint) (v uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	k := uint64(1)<<n - 1
	v = uint64(b[0]) & k
	b = b[1:]
	if v < k {
		return v, b, true
	}
	for shift := uint(0); len(b) > 0; shift += 7 {
		c := b[0]
		b = b[1:]
		v += uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return v, b, true
		}
		if shift >= 56 {
			break
		}
	}
	return 0, nil, false
}

// appendInt writes an integer with an n-bit prefix below the pattern.
func appendInt(b []byte, pattern byte, n uint, v uint64) []byte {
	k := uint64(1)<<n - 1
	if v < k {
		return append(b, pattern|byte(v))
	}
	b = append(b, pattern|byte(k))
	for v -= k; v >= 128; v >>= 7 {
		b = append(b, 0x80|byte(v))
	}
	return append(b, byte(v))
}
