package sniff

import "bytes"

// Reasons of a malformed ClientHello.
const (
	reasonTruncated   = "client hello ends inside a field"
	reasonSessionID   = "session id longer than 32 bytes"
	reasonCiphers     = "cipher suite list is empty or of odd length"
	reasonCompression = "compression method list is empty"
	reasonTrailing    = "bytes after the extensions"
	reasonDuplicate   = "duplicated extension"
	reasonServerName  = "malformed server_name"
)

// Extension types, IANA "TLS ExtensionType Values".
const (
	extServerName        = 0
	extALPN              = 16
	extSupportedVersions = 43
	extECH               = 0xfe0d // RFC 9849 §5
)

// maxServerName is the longest DNS name in bytes, RFC 1035 §2.3.4.
const maxServerName = 255

// hello is a parsed ClientHello; its slices point into the message.
type hello struct {
	msg           []byte // with the handshake header
	legacyVersion uint16
	ciphers       []byte // of 2 bytes each
	extensions    []byte // type, length, data of each
	serverName    []byte
	alpn          []byte // length-prefixed names
	versions      []byte // of 2 bytes each
	nalpn         int    // names in alpn without GREASE
	ech           bool
}

// parse reads the whole message and returns the reason it is malformed, or "".
func (h *hello) parse(msg []byte) string {
	h.msg = msg
	b := msg[handshakeHeaderLen:]
	if len(b) < 34 { // legacy_version, random
		return reasonTruncated
	}
	h.legacyVersion = uint16(be16(b))
	session, b, ok := take8(b[34:])
	if !ok {
		return reasonTruncated
	}
	if len(session) > 32 {
		return reasonSessionID
	}
	if h.ciphers, b, ok = take16(b); !ok {
		return reasonTruncated
	}
	if len(h.ciphers) == 0 || len(h.ciphers)%2 != 0 {
		return reasonCiphers
	}
	compression, b, ok := take8(b)
	if !ok {
		return reasonTruncated
	}
	if len(compression) == 0 {
		return reasonCompression
	}
	if len(b) == 0 { // no extensions at all: RFC 5246 §7.4.1.2
		return ""
	}
	if h.extensions, b, ok = take16(b); !ok {
		return reasonTruncated
	}
	if len(b) != 0 {
		return reasonTrailing
	}
	return h.parseExtensions()
}

// parseExtensions reads the extensions this package understands and checks
// the framing of all of them; GREASE and unknown ones are skipped. ALPN and
// versions that cannot be read are left to the server that has to, as in Envoy.
func (h *hello) parseExtensions() string {
	var seen extensionSet
	for b := h.extensions; len(b) > 0; {
		if len(b) < 4 {
			return reasonTruncated
		}
		typ := uint16(be16(b))
		data, rest, ok := take16(b[2:])
		if !ok {
			return reasonTruncated
		}
		b = rest
		if !seen.add(typ) {
			return reasonDuplicate
		}
		switch typ {
		case extServerName:
			if !h.parseServerName(data) {
				return reasonServerName
			}
		case extALPN:
			h.parseALPN(data)
		case extSupportedVersions:
			h.parseVersions(data)
		case extECH:
			// The inner form, one byte 1, is what a split-mode front end sends on;
			// anything else is taken as the outer form, which hides a name.
			h.ech = string(data) != "\x01"
		}
	}
	return ""
}

// parseServerName reads the server_name extension, RFC 6066 §3: exactly one
// entry, of type host_name, 1 to 255 bytes, none of them NUL. BoringSSL and
// OpenSSL refuse anything else.
func (h *hello) parseServerName(data []byte) bool {
	list, rest, ok := take16(data)
	if !ok || len(rest) != 0 || len(list) < 1 || list[0] != 0 {
		return false
	}
	name, rest, ok := take16(list[1:])
	if !ok || len(rest) != 0 || len(name) == 0 || len(name) > maxServerName || bytes.IndexByte(name, 0) >= 0 {
		return false
	}
	h.serverName = name
	return true
}

// parseALPN reads the list of protocol names, RFC 7301 §3.1.
func (h *hello) parseALPN(data []byte) {
	list, rest, ok := take16(data)
	if !ok || len(rest) != 0 {
		return
	}
	n := 0
	for left := list; len(left) > 0; left = rest {
		var name []byte
		if name, rest, ok = take8(left); !ok || len(name) == 0 {
			return
		}
		if !greaseName(name) {
			n++
		}
	}
	h.alpn, h.nalpn = list, n
}

// parseVersions reads the supported_versions list, RFC 8446 §4.2.1.
func (h *hello) parseVersions(data []byte) {
	list, rest, ok := take8(data)
	if ok && len(rest) == 0 && len(list) > 0 && len(list)%2 == 0 {
		h.versions = list
	}
}

// take8 splits off a vector with a one-byte length.
func take8(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 1 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n:n], b[n:], true
}

// take16 splits off a vector with a two-byte length.
func take16(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 2 || len(b)-2 < be16(b) {
		return nil, nil, false
	}
	n := 2 + be16(b)
	return b[2:n:n], b[n:], true
}

// extensionSet remembers extension types without allocating: a bit each for
// the low numbers and ECH, a short list for others. What does not fit into the
// list is not looked at again: this keeps a hostile hello of thousands of
// extensions from costing the square of them, and does not matter, as those
// that are read all have a bit.
type extensionSet struct {
	low  uint64
	ech  bool
	high [64]uint16
	n    int
}

// add reports whether typ was not there yet.
func (s *extensionSet) add(typ uint16) bool {
	switch {
	case typ < 64:
		bit := uint64(1) << typ
		if s.low&bit != 0 {
			return false
		}
		s.low |= bit
		return true
	case typ == extECH:
		was := s.ech
		s.ech = true
		return !was
	}
	for _, t := range s.high[:s.n] {
		if t == typ {
			return false
		}
	}
	if s.n < len(s.high) {
		s.high[s.n] = typ
		s.n++
	}
	return true
}
