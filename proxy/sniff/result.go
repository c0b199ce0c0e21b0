package sniff

// Hello returns the whole ClientHello message, handshake header first and
// record headers taken out, for fingerprints (JA3, JA4) to be computed from.
func (t *TLS) Hello() []byte { return t.h.msg }

// ServerName returns the name of the server_name extension as sent, or nil if
// there was none: 1 to 255 bytes, any but NUL. It is for passing on;
// AppendServerName is for matching and for logs. When ECH is true it is the
// name of the client-facing server, and may not be the one the client wants.
func (t *TLS) ServerName() []byte { return t.h.serverName }

// AppendServerName appends the server name in the form to compare names in: in
// lower case, as DNS does (RFC 4343), and without a final dot.
//
// Of a name that is not valid, the bytes a valid one can not have become '_',
// and "invalid:" is put in front, as Envoy's access log writes it. So it matches
// no other name and no pattern is taken for a name; it may still match a
// pattern by its end, as it would in Envoy; and it cannot forge a log line.
func (t *TLS) AppendServerName(dst []byte) []byte {
	name := t.h.serverName
	valid := validServerName(name)
	switch n := len(name); {
	case n == 0:
		return dst
	case !valid:
		dst = append(dst, "invalid:"...)
	case name[n-1] == '.':
		name = name[:n-1]
	}
	for _, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case !nameByte(c):
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// ServerNameValid reports whether there is a server name that consists of
// letters, digits, '-', '_' and dots, with no empty label but one dot at the end.
func (t *TLS) ServerNameValid() bool { return validServerName(t.h.serverName) }

func validServerName(name []byte) bool {
	if len(name) == 0 || name[0] == '.' {
		return false
	}
	for i, c := range name {
		if !nameByte(c) || c == '.' && name[i-1] == '.' {
			return false
		}
	}
	return true
}

// nameByte reports whether Envoy takes c for a byte of a host name.
func nameByte(c byte) bool {
	return alpha(c) || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// ECH reports whether the hello carries an outer encrypted_client_hello
// extension (RFC 9849): the true name may be encrypted, and ServerName then is
// that of the front. Browsers also send such an extension with random content
// when they have no key (GREASE); nothing on the wire tells the two apart.
func (t *TLS) ECH() bool { return t.h.ech }

// NumALPN returns the number of protocols the client offers by ALPN, GREASE
// values (RFC 8701) not counted.
func (t *TLS) NumALPN() int { return t.h.nalpn }

// ALPN returns the i-th offered protocol in the client's order of preference,
// GREASE skipped, or nil if there is none. Asking for 0, 1, 2, … in order
// costs one pass over the list. It may hold any bytes: quote it in logs.
func (t *TLS) ALPN(i int) []byte {
	if i < 0 || i >= t.h.nalpn {
		return nil
	}
	if i < t.alpnAt {
		t.alpnAt, t.alpnOff = 0, 0
	}
	for t.alpnOff < len(t.h.alpn) {
		n := 1 + int(t.h.alpn[t.alpnOff])
		name := t.h.alpn[t.alpnOff+1 : t.alpnOff+n : t.alpnOff+n]
		if greaseName(name) {
			t.alpnOff += n
			continue
		}
		if t.alpnAt == i {
			return name
		}
		t.alpnAt++
		t.alpnOff += n
	}
	return nil
}

// AppendALPN appends all offered protocols to dst, GREASE skipped. They are
// slices of the same memory as Hello.
func (t *TLS) AppendALPN(dst [][]byte) [][]byte {
	for i := range t.h.nalpn {
		dst = append(dst, t.ALPN(i))
	}
	return dst
}

// OffersALPN reports whether the client offers protocol.
func (t *TLS) OffersALPN(protocol string) bool {
	for list := t.h.alpn; len(list) > 0; {
		n := 1 + int(list[0])
		if string(list[1:n]) == protocol {
			return true
		}
		list = list[n:]
	}
	return false
}

// LegacyVersion returns the hello's legacy_version field, 0x0303 for every
// TLS 1.2 and 1.3 client.
func (t *TLS) LegacyVersion() uint16 { return t.h.legacyVersion }

// NumVersions returns the number of versions in supported_versions, GREASE not
// counted; 0 if the extension is absent.
func (t *TLS) NumVersions() int {
	n := 0
	for b := t.h.versions; len(b) > 0; b = b[2:] {
		if !grease(uint16(be16(b))) {
			n++
		}
	}
	return n
}

// Version returns the i-th version in supported_versions, GREASE skipped, or 0.
func (t *TLS) Version(i int) uint16 {
	for b := t.h.versions; len(b) > 0; b = b[2:] {
		if v := uint16(be16(b)); !grease(v) {
			if i == 0 {
				return v
			}
			i--
		}
	}
	return 0
}

// MaxVersion returns the highest TLS version the client supports: the largest
// 0x03xx of supported_versions, or without that extension legacy_version, at
// most TLS 1.2 (RFC 8446 §4.2.1). It is 0 if the client names only versions
// that are not TLS, drafts for example.
func (t *TLS) MaxVersion() uint16 {
	if t.h.versions == nil {
		return min(t.h.legacyVersion, 0x0303)
	}
	var top uint16
	for b := t.h.versions; len(b) > 0; b = b[2:] {
		if v := uint16(be16(b)); v>>8 == 3 {
			top = max(top, v)
		}
	}
	return top
}

// VersionName returns the name of a TLS version as Envoy's access log writes
// it ("TLSv1.3"), or "" if it is not one.
func VersionName(v uint16) string {
	switch v {
	case 0x0300:
		return "SSLv3"
	case 0x0301:
		return "TLSv1"
	case 0x0302:
		return "TLSv1.1"
	case 0x0303:
		return "TLSv1.2"
	case 0x0304:
		return "TLSv1.3"
	}
	return ""
}

// grease reports whether v is a reserved value 0x?A?A, RFC 8701 §2.
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// greaseName reports whether an ALPN name is a reserved value, RFC 8701 §2.
func greaseName(name []byte) bool {
	return len(name) == 2 && grease(uint16(be16(name)))
}
