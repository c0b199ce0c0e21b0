package sniff

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// Extension types that fingerprints read, IANA "TLS ExtensionType Values".
const (
	extGroups       = 10 // supported_groups, once elliptic_curves
	extPointFormats = 11 // ec_point_formats
	extSignatures   = 13 // signature_algorithms
)

// AppendJA3 appends the JA3 fingerprint of the hello: the MD5 of its version, cipher suites, extensions, groups and point
// formats, in the client's order and without GREASE, in 32 hexadecimal digits. It is a name for a kind of client, and
// any client can take the name of another.
//
// Source: Salesforce's JA3; Envoy: enable_ja3_fingerprinting.
func (t *TLS) AppendJA3(dst []byte) []byte {
	var room [512]byte
	sum := md5.Sum(t.appendJA3Text(room[:0]))
	return hex.AppendEncode(dst, sum[:])
}

// appendJA3Text appends what JA3 is the MD5 of.
func (t *TLS) appendJA3Text(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(t.h.legacyVersion), 10)
	dst = append(dst, ',')
	dst = appendNumbers(dst, t.h.ciphers)
	dst = append(dst, ',')
	var groups, formats []byte
	sep := false
	for typ, data := range t.h.each {
		if grease(typ) {
			continue
		}
		if sep {
			dst = append(dst, '-')
		}
		sep = true
		dst = strconv.AppendUint(dst, uint64(typ), 10)
		switch typ {
		case extGroups:
			groups, _, _ = take16(data)
		case extPointFormats:
			formats, _, _ = take8(data)
		}
	}
	dst = append(dst, ',')
	dst = appendNumbers(dst, groups)
	dst = append(dst, ',')
	for i, f := range formats {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = strconv.AppendUint(dst, uint64(f), 10)
	}
	return dst
}

// appendNumbers appends a list of 16-bit numbers in decimal, GREASE left out.
func appendNumbers(dst, list []byte) []byte {
	sep := false
	for ; len(list) >= 2; list = list[2:] {
		v := uint16(be16(list))
		if grease(v) {
			continue
		}
		if sep {
			dst = append(dst, '-')
		}
		sep = true
		dst = strconv.AppendUint(dst, uint64(v), 10)
	}
	return dst
}

// AppendJA4 appends the JA4 fingerprint of the hello, 36 characters: what it is in ten that can be read, and
// hashes of its cipher suites and of its extensions and signature algorithms. The suites and extensions are sorted, since
// browsers shuffle theirs.
//
// Source: FoxIO's JA4 technical details; Envoy: enable_ja4_fingerprinting.
func (t *TLS) AppendJA4(dst []byte) []byte {
	var room [512]byte
	var numbers [64]uint16
	ciphers := numbers[:0]
	for list := t.h.ciphers; len(list) >= 2; list = list[2:] {
		if v := uint16(be16(list)); !grease(v) {
			ciphers = append(ciphers, v)
		}
	}
	total, name := 0, byte('i')
	var extensions []uint16
	var signatures, alpn []byte
	for typ, data := range t.h.each {
		if grease(typ) {
			continue
		}
		total++
		switch typ {
		case extServerName:
			name = 'd'
			continue
		case extALPN:
			alpn = data
			continue
		case extSignatures:
			signatures, _, _ = take16(data)
		}
		extensions = append(extensions, typ)
	}
	dst = append(dst, 't') // over TCP
	dst = append(dst, ja4Version(t.topVersion())...)
	dst = append(dst, name)
	dst = appendTwoDigits(dst, len(ciphers))
	dst = appendTwoDigits(dst, total)
	first, last := ja4ALPN(alpn)
	dst = append(dst, first, last, '_')
	slices.Sort(ciphers)
	slices.Sort(extensions)
	text := appendHexList(room[:0], ciphers)
	dst = append(appendShortHash(dst, text), '_')
	text = appendHexList(room[:0], extensions)
	if len(text) > 0 && len(signatures) >= 2 {
		text = append(text, '_')
		var list []uint16
		for ; len(signatures) >= 2; signatures = signatures[2:] {
			list = append(list, uint16(be16(signatures)))
		}
		text = appendHexList(text, list)
	}
	return appendShortHash(dst, text)
}

// topVersion is the highest version of supported_versions that is not GREASE, else legacy_version.
func (t *TLS) topVersion() (top uint16) {
	for b := t.h.versions; len(b) > 0; b = b[2:] {
		if v := uint16(be16(b)); !grease(v) {
			top = max(top, v)
		}
	}
	if top == 0 {
		top = t.h.legacyVersion
	}
	return top
}

func ja4Version(v uint16) string {
	switch v {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	}
	return "00"
}

// ja4ALPN gives the first and the last character of the first protocol in an ALPN extension. When one of
// them is no letter or digit, they are the first and the last hexadecimal digit of the name.
func ja4ALPN(data []byte) (first, last byte) {
	if len(data) < 2 {
		return '0', '0'
	}
	name, _, ok := take8(data[2:])
	if !ok || len(name) == 0 {
		return '0', '0'
	}
	first, last = name[0], name[len(name)-1]
	if !alphanumeric(first) || !alphanumeric(last) {
		const digits = "0123456789abcdef"
		return digits[first>>4], digits[last&0x0f]
	}
	return first, last
}

func alphanumeric(c byte) bool { return alpha(c) || '0' <= c && c <= '9' }

// appendTwoDigits appends n, at most 99.
func appendTwoDigits(dst []byte, n int) []byte {
	n = min(n, 99)
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

// appendHexList appends numbers as four hexadecimal digits each, with commas between them.
func appendHexList(dst []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = hex.AppendEncode(dst, []byte{byte(v >> 8), byte(v)})
	}
	return dst
}

// appendShortHash appends the first twelve hexadecimal digits of the SHA-256 of text; zeros when it is empty.
func appendShortHash(dst, text []byte) []byte {
	if len(text) == 0 {
		return append(dst, "000000000000"...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(dst, sum[:6])
}

// each ranges over the extensions in their order.
func (h *hello) each(yield func(typ uint16, data []byte) bool) {
	for b := h.extensions; len(b) >= 4; {
		typ := uint16(be16(b))
		data, rest, ok := take16(b[2:])
		if !ok || !yield(typ, data) {
			return
		}
		b = rest
	}
}
