package intercept

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// This file turns the words of flags and of the record into the plan's types.

// ParsePorts reads "80,443,8000-8999" as ranges; an empty text means none.
func ParsePorts(s string) ([]PortRange, error) {
	var out []PortRange
	for part := range fields(s) {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := parsePort(from)
		b, err2 := parsePort(to)
		if err1 != nil || err2 != nil || b < a {
			return nil, fmt.Errorf("port %q: want a number from 1 to 65535, or two with a dash between", part)
		}
		out = append(out, PortRange{a, b})
	}
	return out, nil
}

// parsePort reads digits only: strconv takes a sign too.
func parsePort(s string) (uint16, error) {
	if s == "" || s[0] == '+' || s[0] == '-' {
		return 0, errors.New("not a number")
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if n == 0 && err == nil {
		err = errors.New("port 0")
	}
	return uint16(n), err
}

// String is the range as ParsePorts reads it.
func (r PortRange) String() string {
	if r.From == r.To {
		return strconv.Itoa(int(r.From))
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// ParseCIDRs reads "10.0.0.0/8,192.0.2.1"; an address alone is a prefix of its
// full length.
func ParseCIDRs(s string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for part := range fields(s) {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, aerr := netip.ParseAddr(part)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%q: want an IP address or a prefix such as 10.0.0.0/8", part)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// fields yields the parts of a list with commas, without spaces and empty parts.
func fields(s string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

// MarshalText writes "pass" or "drop".
func (o OnDown) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads "pass" or "drop".
func (o *OnDown) UnmarshalText(b []byte) error {
	switch string(b) {
	case "pass", "":
		*o = Pass
	case "drop":
		*o = Drop
	default:
		return fmt.Errorf("%q: want pass or drop", b)
	}
	return nil
}

// MarshalText writes what String says.
func (b Backend) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads the name of a backend.
func (b *Backend) UnmarshalText(text []byte) error {
	for _, x := range []Backend{NFT, IPTables, IPTablesNFT, IPTablesLegacy} {
		if string(text) == x.String() {
			*b = x
			return nil
		}
	}
	return fmt.Errorf("%q: want nft, iptables, iptables-nft or iptables-legacy", text)
}

// MarshalText writes "resident" or "installed".
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads "resident" or "installed".
func (m *Mode) UnmarshalText(b []byte) error {
	switch string(b) {
	case "resident":
		*m = Resident
	case "installed":
		*m = Installed
	default:
		return fmt.Errorf("%q: want resident or installed", b)
	}
	return nil
}

// String names the families: "ipv4", "ipv6" or "ipv4,ipv6".
func (f Families) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	case 0, IPv4 | IPv6:
		return "ipv4,ipv6"
	}
	return fmt.Sprintf("Families(%d)", uint8(f))
}

// MarshalText writes what String says.
func (f Families) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a list of "ipv4" and "ipv6"; an empty one means both.
func (f *Families) UnmarshalText(b []byte) error {
	*f = 0
	for part := range fields(string(b)) {
		switch part {
		case "ipv4":
			*f |= IPv4
		case "ipv6":
			*f |= IPv6
		default:
			return fmt.Errorf("%q: want ipv4 or ipv6", part)
		}
	}
	return nil
}
