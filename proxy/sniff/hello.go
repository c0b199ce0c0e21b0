package sniff

// Reasons of a malformed ClientHello.
const (
	reasonTruncated     = "client hello ends inside a field"
	reasonLegacyVersion = "legacy_version is not SSL 3 or TLS"
	reasonSessionID     = "session id longer than 32 bytes"
	reasonCiphers       = "cipher suite list is empty or of odd length"
	reasonCompression   = "compression method list is empty"
	reasonTrailing      = "bytes after the extensions"
	reasonDuplicate     = "duplicated extension"
	reasonTooMany       = "more than 128 extensions"
	reasonServerName    = "malformed server_name"
	reasonALPN          = "malformed application_layer_protocol_negotiation"
	reasonVersions      = "malformed supported_versions"
	reasonECH           = "malformed encrypted_client_hello"
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
	if h.legacyVersion < 0x0300 {
		return reasonLegacyVersion
	}
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
// the framing of all of them; GREASE and unknown ones are skipped.
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
		if reason := seen.add(typ); reason != "" {
			return reason
		}
		switch typ {
		case extServerName:
			ok = h.parseServerName(data)
		case extALPN:
			ok = h.parseALPN(data)
		case extSupportedVersions:
			ok = h.parseVersions(data)
		case extECH:
			ok = h.parseECH(data)
		}
		if !ok {
			return malformed(typ)
		}
	}
	return ""
}

// malformed names the extension whose data could not be read.
func malformed(typ uint16) string {
	switch typ {
	case extServerName:
		return reasonServerName
	case extALPN:
		return reasonALPN
	case extSupportedVersions:
		return reasonVersions
	}
	return reasonECH
}

// parseServerName reads the server_name extension, RFC 6066 §3: exactly one
// entry, of type host_name, as BoringSSL and OpenSSL demand.
func (h *hello) parseServerName(data []byte) bool {
	list, rest, ok := take16(data)
	if !ok || len(rest) != 0 || len(list) < 1 || list[0] != 0 {
		return false
	}
	name, rest, ok := take16(list[1:])
	if !ok || len(rest) != 0 || !validServerName(name) {
		return false
	}
	h.serverName = name
	return true
}

// validServerName accepts the characters of host names, '_' which is met in
// practice, and ':' for clients that send an IPv6 address. Labels are not
// empty, but for one dot at the end. Anything else could look like a pattern
// ("*.example.com", ".example.com") to what matches the name later, or forge
// a log line.
func validServerName(name []byte) bool {
	if len(name) == 0 || len(name) > maxServerName || name[0] == '.' {
		return false
	}
	for i, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == ':':
		case c == '.' && name[i-1] != '.':
		default:
			return false
		}
	}
	return true
}

// parseALPN reads the list of protocol names, RFC 7301 §3.1.
func (h *hello) parseALPN(data []byte) bool {
	list, rest, ok := take16(data)
	if !ok || len(rest) != 0 || len(list) < 2 {
		return false
	}
	h.alpn = list
	for len(list) > 0 {
		name, rest, ok := take8(list)
		if !ok || len(name) == 0 {
			return false
		}
		if !greaseName(name) {
			h.nalpn++
		}
		list = rest
	}
	return true
}

// parseVersions reads the supported_versions list, RFC 8446 §4.2.1.
func (h *hello) parseVersions(data []byte) bool {
	list, rest, ok := take8(data)
	if !ok || len(rest) != 0 || len(list) == 0 || len(list)%2 != 0 {
		return false
	}
	h.versions = list
	return true
}

// parseECH reads encrypted_client_hello, RFC 9849 §5. Only the outer form
// hides a name from us; the inner form is what a split-mode front end sends on.
func (h *hello) parseECH(data []byte) bool {
	if len(data) == 1 && data[0] == 1 {
		return true
	}
	if len(data) < 6 || data[0] != 0 {
		return false
	}
	_, rest, ok := take16(data[6:]) // enc, behind type, kdf_id, aead_id, config_id
	if !ok {
		return false
	}
	payload, rest, ok := take16(rest)
	h.ech = ok && len(payload) > 0 && len(rest) == 0
	return h.ech
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
// the low numbers, a short list for the others. Its bound keeps a hostile
// hello of thousands of extensions from costing the square of them.
type extensionSet struct {
	low  uint64
	high [128]uint16
	n    int
}

// add returns why typ cannot be added, or "".
func (s *extensionSet) add(typ uint16) string {
	if typ < 64 {
		if s.low&(1<<typ) != 0 {
			return reasonDuplicate
		}
		s.low |= 1 << typ
		return ""
	}
	for _, t := range s.high[:s.n] {
		if t == typ {
			return reasonDuplicate
		}
	}
	if s.n == len(s.high) {
		return reasonTooMany
	}
	s.high[s.n] = typ
	s.n++
	return ""
}
