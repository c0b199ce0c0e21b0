package sniff

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

func v2Header(command, family byte, block []byte) []byte {
	return cat([]byte(proxyV2), []byte{command, family}, vec16(block))
}

func tlv(typ byte, value string) []byte { return cat([]byte{typ}, vec16([]byte(value))) }

// withChecksum appends a CRC32C extension to a v2 header.
func withChecksum(header []byte) []byte {
	b := append(bytes.Clone(header), TLVCRC32C, 0, 4, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-16))
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(b[len(b)-4:], sum)
	return b
}

func describeProxy(h ProxyHeader) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v%d", h.Version)
	if h.Local {
		b.WriteString(" local")
	}
	if h.Datagram {
		b.WriteString(" datagram")
	}
	switch h.Family {
	case IPv4, IPv6:
		fmt.Fprintf(&b, " %v -> %v", h.Src, h.Dst)
	case Unix:
		fmt.Fprintf(&b, " %q -> %q", h.SrcPath, h.DstPath)
	}
	for t := h.TLVs; ; {
		typ, value, ok := t.Next()
		if !ok {
			break
		}
		fmt.Fprintf(&b, " %#x=%q", typ, value)
	}
	return b.String() + h.Err
}

func TestParseProxy(t *testing.T) {
	var (
		v4   = []byte{192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 1, 0xbb}
		v6   = cat(netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("::1").AsSlice(), []byte{0, 1, 0, 2})
		unix = make([]byte, 216)
	)
	copy(unix, "/run/a")
	copy(unix[108:], strings.Repeat("b", 108))
	checked := withChecksum(v2Header(0x21, 0x11, v4))
	flipped := bytes.Clone(checked)
	flipped[17] ^= 1
	longest := "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n" // 107 bytes
	for _, tc := range []struct {
		name string
		in   string
		want string // description, "" for NoMatch
		st   Status
	}{
		{"v1 tcp4", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", "v1 192.0.2.1:12345 -> 198.51.100.2:443", Match},
		{"v1 tcp6", "PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "v1 [2001:db8::1]:0 -> [::1]:65535", Match},
		{"v1 tcp6 mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "v1 [::ffff:192.0.2.1]:1 -> [::1]:2", Match},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "v1 local", Match},
		{"v1 unknown with anything", "PROXY UNKNOWN what ever  it is\r\n", "v1 local", Match},
		{"v1 longest", longest, "v1 local", Match},
		{"v1 too long", longest[:105] + "f\r\n", "v1" + reasonV1Line, Bad},
		{"v1 bare LF", "PROXY UNKNOWN\n", "v1" + reasonV1Line, Bad},
		{"v1 bare CR", "PROXY UNKNOWN\rx\r\n", "v1" + reasonV1Line, Bad},
		{"v1 protocol", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "v1" + reasonV1Protocol, Bad},
		{"v1 unknown with suffix", "PROXY UNKNOWNS\r\n", "v1" + reasonV1Protocol, Bad},
		{"v1 nothing", "PROXY \r\n", "v1" + reasonV1Protocol, Bad},
		{"v1 missing port", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "v1" + reasonV1Fields, Bad},
		{"v1 trailing field", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "v1" + reasonV1Fields, Bad},
		{"v1 trailing space", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", "v1" + reasonV1Fields, Bad},
		{"v1 two spaces", "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "v1" + reasonV1Fields, Bad},
		{"v1 leading zero", "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", "v1" + reasonV1Address, Bad},
		{"v1 other family", "PROXY TCP4 ::1 ::1 1 2\r\n", "v1" + reasonV1Address, Bad},
		{"v1 other family", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "v1" + reasonV1Address, Bad},
		{"v1 zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "v1" + reasonV1Address, Bad},
		{"v1 port zero in front", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "v1" + reasonV1Port, Bad},
		{"v1 port too large", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "v1" + reasonV1Port, Bad},
		{"v1 port sign", "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "v1" + reasonV1Port, Bad},

		{"v2 tcp4", string(v2Header(0x21, 0x11, v4)), "v2 192.0.2.1:12345 -> 198.51.100.2:443", Match},
		{"v2 udp4", string(v2Header(0x21, 0x12, v4)), "v2 datagram 192.0.2.1:12345 -> 198.51.100.2:443", Match},
		{"v2 tcp6", string(v2Header(0x21, 0x21, v6)), "v2 [2001:db8::1]:1 -> [::1]:2", Match},
		{"v2 unix", string(v2Header(0x21, 0x31, unix)), `v2 "/run/a" -> "` + strings.Repeat("b", 108) + `"`, Match},
		{"v2 local", string(v2Header(0x20, 0, nil)), "v2 local", Match},
		{"v2 local with a block", string(v2Header(0x20, 0x11, v4)), "v2 local", Match},
		{"v2 local with too short a block", string(v2Header(0x20, 0x21, v4)), "v2 local", Match},
		{"v2 local with garbage", string(v2Header(0x20, 0, []byte{1, 2, 3, 4})), "v2 local", Match},
		{"v2 extensions", string(v2Header(0x21, 0x11, cat(v4, tlv(TLVAuthority, "a.test"), tlv(0xea, "")))), "v2 192.0.2.1:12345 -> 198.51.100.2:443 0x2=\"a.test\" 0xea=\"\"", Match},
		{"v2 checksum", string(checked), fmt.Sprintf("v2 192.0.2.1:12345 -> 198.51.100.2:443 0x3=%q", checked[len(checked)-4:]), Match},
		{"v2 wrong checksum", string(flipped), "v2" + reasonProxyChecksum, Bad},
		{"v2 short checksum", string(v2Header(0x21, 0x11, cat(v4, tlv(TLVCRC32C, "abc")))), "v2" + reasonProxyChecksum, Bad},
		{"v2 extension cut", string(v2Header(0x21, 0x11, cat(v4, []byte{1, 0}))), "v2" + reasonProxyTLV, Bad},
		{"v2 extension too long", string(v2Header(0x21, 0x11, cat(v4, []byte{1, 0, 2, 'h'}))), "v2" + reasonProxyTLV, Bad},
		{"v2 unspecified", string(v2Header(0x21, 0, nil)), "v2" + reasonProxyFamily, Bad},
		{"v2 transport", string(v2Header(0x21, 0x13, v4)), "v2" + reasonProxyFamily, Bad},
		{"v2 family", string(v2Header(0x21, 0x41, v4)), "v2" + reasonProxyFamily, Bad},
		{"v2 local family", string(v2Header(0x20, 0x44, nil)), "v2" + reasonProxyFamily, Bad},
		{"v2 command", string(v2Header(0x22, 0x11, v4)), "v2" + reasonProxyVersion, Bad},
		{"v2 version", string(v2Header(0x31, 0x11, v4)), "v2" + reasonProxyVersion, Bad},
		{"v2 too short", string(v2Header(0x21, 0x11, v4[:11])), "v2" + reasonProxyLength, Bad},

		{"HTTP", "POST / HTTP/1.1\r\n", "", NoMatch},
		{"PROXY as a method", "PROXYFIND / HTTP/1.1\r\n", "", NoMatch},
		{"TLS", "\x16\x03\x01", "", NoMatch},
		{"empty lines", "\r\n\r\n\r\n", "", NoMatch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const app = "application bytes"
			h, n, st := ParseProxy([]byte(tc.in + app))
			if st != tc.st || st != NoMatch && describeProxy(h) != tc.want {
				t.Fatalf("%v %s, want %v %s", st, describeProxy(h), tc.st, tc.want)
			}
			if st == Match && n != len(tc.in) {
				t.Errorf("n = %d, want %d", n, len(tc.in))
			}
			// Every prefix asks for more, within bounds, until it is settled.
			need, settled := 0, false
			for i := range len(tc.in) + 1 {
				_, n, part := ParseProxy([]byte(tc.in[:i]))
				switch {
				case part == More && (settled || n <= i || n < need):
					t.Fatalf("More at %d bytes, needs %d", i, n)
				case part != More && part != tc.st:
					t.Fatalf("%v at %d bytes", part, i)
				}
				need, settled = n, part != More
			}
			if !settled && st != Bad && st != NoMatch {
				t.Error("not settled by the header alone")
			}
		})
	}
}

func TestUnicast(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false,
	} {
		h, _, _ := ParseProxy([]byte("PROXY TCP4 192.0.2.9 " + addr + " 1 2\r\n"))
		if h.Unicast() != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
	if (&ProxyHeader{}).Unicast() {
		t.Error("a header without addresses is unicast")
	}
}

// oracle reads a header with pires/go-proxyproto.
func oracle(b []byte) (*proxyproto.Header, error) {
	return proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), 1<<17))
}

// describeOracle is describeProxy for the oracle's header.
func describeOracle(h *proxyproto.Header) (string, error) {
	p := ProxyHeader{Version: h.Version, Local: h.Command == proxyproto.LOCAL}
	if p.Local { // the oracle decodes the block it then ignores
		return describeProxy(p), nil
	}
	p.Datagram = h.TransportProtocol.IsDatagram()
	switch src := h.SourceAddr.(type) {
	case *net.TCPAddr:
		dst := h.DestinationAddr.(*net.TCPAddr)
		p.Family, p.Src, p.Dst = IPv4, addrPort(src.IP, src.Port), addrPort(dst.IP, dst.Port)
	case *net.UDPAddr:
		dst := h.DestinationAddr.(*net.UDPAddr)
		p.Family, p.Src, p.Dst = IPv4, addrPort(src.IP, src.Port), addrPort(dst.IP, dst.Port)
	case *net.UnixAddr:
		p.Family, p.SrcPath, p.DstPath = Unix, []byte(src.Name), []byte(h.DestinationAddr.(*net.UnixAddr).Name)
	}
	tlvs, err := h.TLVs()
	for _, t := range tlvs {
		p.TLVs = append(p.TLVs, tlv(byte(t.Type), string(t.Value))...)
	}
	return describeProxy(p), err
}

func addrPort(ip net.IP, port int) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a, uint16(port))
}

// compareWithOracle fails if the two disagree, but for what is stricter here.
func compareWithOracle(t *testing.T, b []byte) {
	t.Helper()
	h, n, st := ParseProxy(b)
	o, err := oracle(b)
	var want string
	if err == nil {
		want, err = describeOracle(o)
	}
	switch {
	case st == Match && err != nil:
		if h.Local && n > 16+int(proxyproto.MaxV2HeaderSize) || errors.Is(err, proxyproto.ErrInvalidLength) && n > 4096 {
			return // the oracle's limit
		}
		t.Errorf("%q: match %s, the oracle says %v", b, describeProxy(h), err)
	case st == Match && describeProxy(h) != want:
		t.Errorf("%q: %s, the oracle says %s", b, describeProxy(h), want)
	case st != Match && err == nil:
		if h.Err == reasonProxyChecksum || h.Err == reasonV1Line {
			return // neither the checksum nor a CR inside the line is looked at there
		}
		t.Errorf("%q: %v %s, the oracle says %s", b, st, h.Err, want)
	}
}
