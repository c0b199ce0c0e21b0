package sniff

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"testing"
)

// steps calls feed with growing prefixes of b, the lengths drawn from seed, and
// at last with all of b.
func steps(b []byte, seed uint32, feed func([]byte)) {
	for n := 0; n < len(b); {
		feed(b[:n:n])
		seed = seed*1664525 + 1013904223
		n += 1 + int(seed>>24)%(1+int(seed>>16)%64)
	}
	feed(bytes.Clone(b)) // a buffer that grew has moved
}

// stricter are the reasons to refuse a hello that crypto/tls reads.
var stricter = []string{
	ReasonHelloTooLarge, reasonAfterHello, reasonRecordType, reasonRecordVersion, reasonRecordLength, reasonRecordEmpty,
	reasonServerName, reasonCiphers, reasonCompression, reasonSessionID,
}

// FuzzTLS: how the bytes arrive does not matter, a reused TLS is like a new
// one, and a hello that crypto/tls reads too says the same to both.
func FuzzTLS(f *testing.F) {
	_, hellos := corpus(f)
	for _, b := range hellos {
		f.Add(b, uint32(1))
		f.Add(records(message(f, b), 3, 50, 51), uint32(2))
	}
	f.Add(records(handshake(build([]ext{alpn("\x1a\x1a", "h2"), outerECH(32, 16), {0x2a2a, nil}}))), uint32(3))
	var used TLS
	f.Fuzz(func(t *testing.T, b []byte, seed uint32) {
		var whole TLS
		st := whole.Feed(b)
		used.Reset()
		var last Status
		steps(b, seed, func(b []byte) {
			if last != More && used.Feed(b) != last {
				t.Fatalf("%v changed to %v", last, used.Feed(b))
			}
			last = used.Feed(b)
		})
		if last != st || used.Err() != whole.Err() || describe(&used) != describe(&whole) ||
			used.Records() != whole.Records() || used.Consumed() != whole.Consumed() || !bytes.Equal(used.Hello(), whole.Hello()) {
			t.Fatalf("in pieces %v %q %s\nat once   %v %q %s", last, used.Err(), describe(&used), st, whole.Err(), describe(&whole))
		}
		info := serverView(b)
		if info == nil {
			return
		}
		if st != Match {
			if st == Bad && !slices.Contains(stricter, whole.Err()) {
				t.Errorf("%v %q, but crypto/tls reads %+v", st, whole.Err(), info)
			}
			return
		}
		got, want := fromTLS(&whole), fromInfo(info)
		if got.ServerName != want.ServerName || !slices.Equal(got.Protocols, want.Protocols) || !slices.Equal(got.Versions, want.Versions) {
			t.Errorf("%+v, crypto/tls reads %+v", got, want)
		}
	})
}

// requestLine is the language of HTTP as a regular expression.
var requestLine = regexp.MustCompile("^(?:CONNECT[ \t\v\f\r]+[!-~]+|[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t\v\f\r]+(?:[/*][!-~]*|[A-Za-z][A-Za-z0-9+.-]*://[!-~]*))" +
	"(?:[ \t\v\f\r]+HTTP/([0-9]\\.[0-9]))?[ \t\v\f\r]*\n")

// FuzzHTTP: how the bytes arrive does not matter, and what matches is exactly
// the preface and the regular expression.
func FuzzHTTP(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1.0\n", "CONNECT a:1 HTTP/1.1\r\n", "GET http://a/ HTTP/1.1\r\nHost: a\r\n",
		preface, "PRI * HTTP/2.0\r\n\r\nSN", "PRI / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "GET / HTTP/0.9\r\n", "x y:/z",
	} {
		f.Add([]byte(s), uint32(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint32) {
		var whole, pieces HTTP
		st, proto := whole.Feed(b)
		var got Status
		var gotProto Protocol
		steps(b, seed, func(b []byte) { got, gotProto = pieces.Feed(b) })
		if got != st || gotProto != proto || pieces.Err() != whole.Err() || pieces.Consumed() != whole.Consumed() {
			t.Fatalf("in pieces %v %q %q, at once %v %q %q", got, gotProto, pieces.Err(), st, proto, whole.Err())
		}
		if len(b) > DefaultLineLimit {
			return
		}
		want := Protocol("")
		if m := requestLine.FindSubmatch(b); m != nil {
			want = HTTP10
			if string(m[1]) == "1.1" {
				want = HTTP11
			}
		}
		if bytes.HasPrefix(b, []byte(preface)) {
			want = H2C
		} else if len(b) < len(preface) && bytes.HasPrefix([]byte(preface), b) {
			want = ""
		}
		if proto != want || (st == Match) != (want != "") {
			t.Errorf("%v %q, want %q", st, proto, want)
		}
	})
}

// FuzzProxy: prefixes never contradict the whole, and pires/go-proxyproto reads
// the same.
func FuzzProxy(f *testing.F) {
	v4 := []byte{192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 1, 0xbb}
	for _, b := range [][]byte{
		[]byte("PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\nx"),
		[]byte("PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 2\r\n"),
		[]byte("PROXY UNKNOWN any thing\r\n"),
		v2Header(0x21, 0x11, v4),
		v2Header(0x20, 0x00, []byte("xyz")),
		v2Header(0x21, 0x12, cat(v4, tlv(TLVALPN, "h2"), tlv(TLVNoop, ""))),
		v2Header(0x21, 0x21, make([]byte, 40)),
		v2Header(0x21, 0x32, make([]byte, 216)),
		withChecksum(v2Header(0x21, 0x11, v4)),
		[]byte("GET / HTTP/1.1\r\n"),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, n, st := ParseProxy(b)
		if st == Match && (n <= 0 || n > len(b)) || st == More && n <= len(b) {
			t.Fatalf("%v with n = %d of %d", st, n, len(b))
		}
		settled := More
		for i := range min(len(b), 600) {
			_, n, part := ParseProxy(b[:i])
			if settled != More && part != settled || part == More && n <= i {
				t.Fatalf("%v n = %d at %d bytes after %v", part, n, i, settled)
			}
			settled = part
		}
		if settled != More && settled != st {
			t.Fatalf("%v, a prefix was %v", st, settled)
		}
		if st != More {
			compareWithOracle(t, b)
		}
	})
}

// FuzzAddr: the address parsers agree with net/netip.
func FuzzAddr(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.04", "1.2.3.", "256.1.1.1", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::2::3", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "12345::", ":1", "1:", ":::", "fe80::1%a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := netip.ParseAddr(s)
		if a, ok := parseIPv4([]byte(s)); ok != (err == nil && want.Is4()) || ok && a != want {
			t.Errorf("IPv4 %q: %v %v, net/netip says %v %v", s, a, ok, want, err)
		}
		if a, ok := parseIPv6([]byte(s)); ok != (err == nil && want.Is6() && want.Zone() == "") || ok && a != want {
			t.Errorf("IPv6 %q: %v %v, net/netip says %v %v", s, a, ok, want, err)
		}
	})
}
