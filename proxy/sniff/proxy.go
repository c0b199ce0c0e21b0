package sniff

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// Family is the kind of address a PROXY protocol header carries.
type Family uint8

// The address families of the PROXY protocol.
const (
	Unspec Family = iota // none: v1 UNKNOWN, v2 LOCAL
	IPv4
	IPv6
	Unix
)

// ProxyHeader is what a PROXY protocol header says (HAProxy,
// doc/proxy-protocol.txt). Its slices point into the buffer it was parsed from.
type ProxyHeader struct {
	// Version is 1 or 2.
	Version uint8
	// Local is true for v2 LOCAL and v1 UNKNOWN: the connection's own addresses
	// hold, and Family is Unspec.
	Local bool
	// Datagram is true if the proxied connection is not a stream, v2 only.
	Datagram bool
	Family   Family
	// Src and Dst are valid for IPv4 and IPv6.
	Src, Dst netip.AddrPort
	// SrcPath and DstPath are the socket paths of Unix, up to the first NUL.
	SrcPath, DstPath []byte
	// TLVs holds the v2 extensions; their framing was checked.
	TLVs TLVs
	// Err says why the header is Bad, a constant sentence; otherwise "".
	Err string
}

// Unicast reports whether both addresses are IP addresses a TCP connection can
// have. Envoy closes a connection whose header names others.
func (h *ProxyHeader) Unicast() bool {
	return unicast(h.Src.Addr()) && unicast(h.Dst.Addr())
}

func unicast(a netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != broadcast
}

// TLVs walks type-length-value extensions: each Next takes one off.
type TLVs []byte

// TLV types of the PROXY protocol, §2.2.
const (
	TLVALPN      = 0x01
	TLVAuthority = 0x02
	TLVCRC32C    = 0x03
	TLVNoop      = 0x04
	TLVUniqueID  = 0x05
	TLVSSL       = 0x20
	TLVNetNS     = 0x30
)

// Next returns the first extension and removes it from t; ok is false if there
// is none left.
func (t *TLVs) Next() (typ byte, value []byte, ok bool) {
	b := []byte(*t)
	if len(b) < 3 {
		return 0, nil, false
	}
	value, rest, ok := take16(b[1:])
	if !ok {
		return 0, nil, false
	}
	*t = rest
	return b[0], value, true
}

// Reasons of a malformed PROXY protocol header.
const (
	reasonProxyVersion  = "v2 version or command is unknown"
	reasonProxyFamily   = "v2 address family or transport is unknown"
	reasonProxyLength   = "v2 length is too small for the addresses"
	reasonProxyTLV      = "v2 extension ends outside the header"
	reasonProxyChecksum = "v2 CRC32C does not match"
)

const (
	proxyV1 = "PROXY "
	proxyV2 = "\r\n\r\n\x00\r\nQUIT\n"

	v2HeaderLen = 16
	unixPathLen = 108
)

// ParseProxy parses a PROXY protocol header of version 1 or 2 at the start of
// b. After Match, n is its length: the application's bytes begin at b[n]. After
// More, n is how many bytes the header needs as far as is known: at most 107
// for v1 and 16+65535 for v2, so a caller can refuse early. It is recognised by
// its signature, "PROXY " or the twelve bytes of v2; from there on a byte that
// breaks the rules is Bad.
//
// A header without addresses for PROXY (AF_UNSPEC) is Bad, as in Envoy.
func ParseProxy(b []byte) (h ProxyHeader, n int, st Status) {
	switch {
	case hasPrefix(b, proxyV1):
		if len(b) < len(proxyV1) {
			return h, len(proxyV1) + 2, More
		}
		h.Version = 1
		n, st = h.parseV1(b)
	case hasPrefix(b, proxyV2):
		if len(b) < len(proxyV2) {
			return h, v2HeaderLen, More
		}
		h.Version = 2
		n, st = h.parseV2(b)
	default:
		return h, 0, NoMatch
	}
	if st == Bad {
		h = ProxyHeader{Version: h.Version, Err: h.Err}
	}
	return h, n, st
}

// hasPrefix reports whether b and prefix agree as far as both go.
func hasPrefix(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

// bad ends with Bad.
func (h *ProxyHeader) bad(reason string) (int, Status) {
	h.Err = reason
	return 0, Bad
}

// parseV2 reads a header whose signature is complete.
func (h *ProxyHeader) parseV2(b []byte) (int, Status) {
	rest := b[len(proxyV2):]
	if len(rest) >= 1 && rest[0] != 0x20 && rest[0] != 0x21 {
		return h.bad(reasonProxyVersion)
	}
	local := len(rest) >= 1 && rest[0] == 0x20
	size := 0
	if len(rest) >= 2 {
		switch family, transport := rest[1]>>4, rest[1]&0xf; {
		case rest[1] == 0 && local:
		case family < 1 || family > 3 || transport < 1 || transport > 2:
			return h.bad(reasonProxyFamily)
		default:
			h.Family, h.Datagram = Family(family), transport == 2
			size = addressSize(h.Family)
		}
	}
	if len(b) < v2HeaderLen {
		return v2HeaderLen, More
	}
	n := v2HeaderLen + be16(rest[2:])
	if local { // "must discard the protocol block including the family"
		h.Local, h.Family, h.Datagram = true, Unspec, false
		size = 0
	}
	if n < v2HeaderLen+size {
		return h.bad(reasonProxyLength)
	}
	if len(b) < n {
		return n, More
	}
	if local {
		return n, Match
	}
	h.addresses(b[v2HeaderLen:])
	h.TLVs = TLVs(b[v2HeaderLen+size : n : n])
	if reason := h.checkTLVs(b[:n]); reason != "" {
		return h.bad(reason)
	}
	return n, Match
}

// addressSize returns the bytes the addresses of a family take in v2.
func addressSize(f Family) int {
	switch f {
	case IPv4:
		return 12
	case IPv6:
		return 36
	case Unix:
		return 2 * unixPathLen
	}
	return 0
}

// addresses reads the address block of v2, which is complete.
func (h *ProxyHeader) addresses(b []byte) {
	switch h.Family {
	case IPv4:
		h.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[0:4])), uint16(be16(b[8:])))
		h.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), uint16(be16(b[10:])))
	case IPv6:
		h.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[0:16])), uint16(be16(b[32:])))
		h.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[16:32])), uint16(be16(b[34:])))
	case Unix:
		h.SrcPath = untilNUL(b[:unixPathLen])
		h.DstPath = untilNUL(b[unixPathLen : 2*unixPathLen])
	}
}

// untilNUL returns the bytes in front of the first NUL.
func untilNUL(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i:i]
		}
	}
	return b[:len(b):len(b)]
}

// checkTLVs checks the framing of the extensions, and the checksum if there is
// one (§2.2.3: a receiver that knows it must drop a connection that fails it).
func (h *ProxyHeader) checkTLVs(header []byte) string {
	for t := h.TLVs; len(t) > 0; {
		at := len(header) - len(t)
		typ, value, ok := t.Next()
		if !ok {
			return reasonProxyTLV
		}
		if typ != TLVCRC32C {
			continue
		}
		if len(value) != 4 || checksum(header, at+3) != binary.BigEndian.Uint32(value) {
			return reasonProxyChecksum
		}
	}
	return ""
}

// checksum is the CRC32C of the header with the four bytes at field as zero.
func checksum(header []byte, field int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // a constant of hash/crc32
	sum := ^crc32.Update(0, table, header[:field])
	for range 4 { // a slice of zeros would be allocated
		sum = table[byte(sum)] ^ sum>>8
	}
	return crc32.Update(^sum, table, header[field+4:])
}
