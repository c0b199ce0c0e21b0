package sniff

import "net/netip"

// maxV1 is the longest header of version 1 with its CR LF.
const maxV1 = 107

// Reasons of a malformed PROXY protocol header of version 1.
const (
	reasonV1Line     = "v1 line does not end in CR LF within 107 bytes"
	reasonV1Protocol = "v1 protocol is not TCP4, TCP6 or UNKNOWN"
	reasonV1Fields   = "v1 line has too few or too many fields"
	reasonV1Address  = "v1 address is malformed or of another family"
	reasonV1Port     = "v1 port is not a number from 0 to 65535"
)

// parseV1 reads a header whose "PROXY " is complete.
func (h *ProxyHeader) parseV1(b []byte) (int, Status) {
	end := len(proxyV1)
	for limit := min(len(b), maxV1); end < limit && b[end] != '\r' && b[end] != '\n'; {
		end++
	}
	switch {
	case end >= maxV1-1: // no room for CR LF any more
		return h.bad(reasonV1Line)
	case end == len(b):
		return end + 2, More
	case b[end] == '\n':
		return h.bad(reasonV1Line)
	case end+1 == len(b):
		return end + 2, More
	case b[end+1] != '\n':
		return h.bad(reasonV1Line)
	}
	if reason := h.fieldsV1(b[len(proxyV1):end]); reason != "" {
		return h.bad(reason)
	}
	return end + 2, Match
}

// fieldsV1 reads the line behind "PROXY ".
func (h *ProxyHeader) fieldsV1(line []byte) string {
	var f [5][]byte // protocol, source, destination, source port, destination port
	f[0], line = field(line)
	switch string(f[0]) {
	case "UNKNOWN": // "the receiver must ignore anything presented before the CRLF"
		h.Local = true
		return ""
	case "TCP4":
		h.Family = IPv4
	case "TCP6":
		h.Family = IPv6
	default:
		return reasonV1Protocol
	}
	for i := 1; i < len(f); i++ {
		if line == nil {
			return reasonV1Fields
		}
		f[i], line = field(line)
	}
	if line != nil {
		return reasonV1Fields
	}
	parse := parseIPv4
	if h.Family == IPv6 {
		parse = parseIPv6
	}
	src, ok1 := parse(f[1])
	dst, ok2 := parse(f[2])
	if !ok1 || !ok2 {
		return reasonV1Address
	}
	srcPort, ok1 := decimal(f[3], 65535)
	dstPort, ok2 := decimal(f[4], 65535)
	if !ok1 || !ok2 {
		return reasonV1Port
	}
	h.Src = netip.AddrPortFrom(src, uint16(srcPort))
	h.Dst = netip.AddrPortFrom(dst, uint16(dstPort))
	return ""
}

// field splits line at its first space; rest is nil if there is none.
func field(line []byte) (f, rest []byte) {
	for i, c := range line {
		if c == ' ' {
			return line[:i], line[i+1:]
		}
	}
	return line, nil
}

// decimal reads a number without sign or leading zero.
func decimal(b []byte, most int) (int, bool) {
	if len(b) == 0 || len(b) > 5 || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, n <= most
}

// The address parsers are those of net/netip without its strings and errors,
// which allocate.

// parseIPv4 reads four decimal octets, none with a leading zero.
func parseIPv4(b []byte) (netip.Addr, bool) {
	a, ok := dotted(b)
	return netip.AddrFrom4(a), ok
}

func dotted(b []byte) (a [4]byte, ok bool) {
	for i := range a {
		end := 0
		for end < len(b) && b[end] != '.' {
			end++
		}
		if (i == 3) != (end == len(b)) {
			return a, false
		}
		n, ok := decimal(b[:end], 255)
		if !ok {
			return a, false
		}
		a[i] = byte(n)
		b = b[min(end+1, len(b)):]
	}
	return a, true
}

// parseIPv6 reads the text form of RFC 4291 §2.2, without a zone.
func parseIPv6(b []byte) (netip.Addr, bool) {
	var a [16]byte
	ellipsis := -1 // where in a the "::" stands
	n := 0
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		ellipsis = 0
		b = b[2:]
	}
	for len(b) > 0 {
		if n == 16 {
			return netip.Addr{}, false
		}
		value, digits := hex4(b)
		switch {
		case digits == 0:
			return netip.Addr{}, false
		case digits < len(b) && b[digits] == '.':
			v4, ok := dotted(b)
			if !ok || n > 12 || ellipsis < 0 && n != 12 {
				return netip.Addr{}, false
			}
			n += copy(a[n:], v4[:])
			b = nil
			continue
		}
		a[n], a[n+1] = byte(value>>8), byte(value)
		n += 2
		b = b[digits:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return netip.Addr{}, false
		}
		b = b[1:]
		if b[0] == ':' {
			if ellipsis >= 0 {
				return netip.Addr{}, false
			}
			ellipsis = n
			b = b[1:]
		}
	}
	if n < 16 {
		if ellipsis < 0 {
			return netip.Addr{}, false
		}
		tail := n - ellipsis
		copy(a[16-tail:], a[ellipsis:n])
		clear(a[ellipsis : 16-tail])
	} else if ellipsis >= 0 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(a), true
}

// hex4 reads up to four hexadecimal digits and returns how many there were.
func hex4(b []byte) (value, digits int) {
	for digits < len(b) && digits < 4 {
		c := b[digits]
		switch {
		case '0' <= c && c <= '9':
			value = value<<4 | int(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			value = value<<4 | int(c|0x20-'a'+10)
		default:
			return value, digits
		}
		digits++
	}
	return value, digits
}
