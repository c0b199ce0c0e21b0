package sniff

import (
	"fmt"
	"strings"
	"testing"
)

// opening is what a client may send first.
type opening struct {
	name string
	wire []byte
}

// openings returns the recorded hellos, built ones, and request lines.
func openings(t *testing.T) []opening {
	var all []opening
	names, hellos := corpus(t)
	for _, name := range names {
		all = append(all, opening{"hello " + name, hellos[name]})
	}
	versions := ext{extSupportedVersions, vec8([]byte{3, 4})}
	hello := func(exts ...ext) []byte { return handshake(build(append(exts, versions))) }
	for _, n := range []int{0, 255, 256} {
		all = append(all, opening{fmt.Sprintf("sni of %d bytes", n), records(hello(sni(strings.Repeat("a", n))))})
	}
	for _, name := range []string{"*.a.test", ".a.test", "a..b", ".", "ä.test", "a\x00b"} {
		all = append(all, opening{fmt.Sprintf("sni %q", name), records(hello(sni(name)))})
	}
	for c := 1; c < 256; c++ {
		name := "a" + string([]byte{byte(c)}) + "b"
		all = append(all, opening{fmt.Sprintf("sni %q", name), records(hello(sni(name)))})
	}
	all = append(all, builtHellos(hello)...)
	for _, line := range requestLines {
		all = append(all, opening{fmt.Sprintf("line %.60q", line), []byte(line)})
	}
	return all
}

// builtHellos are hellos of doubtful form; hello builds one of TLS 1.3.
func builtHellos(hello func(...ext) []byte) []opening {
	var (
		a     = sni("a.test")
		plain = hello(a)
		body  = plain[handshakeHeaderLen:]
		empty = []byte{22, 3, 1, 0, 0}
		half  = records(plain, 20)
		many  []ext
		bytes []int
	)
	for i := range 129 {
		many = append(many, ext{1000 + uint16(i), nil})
	}
	for i := range plain[1:] {
		bytes = append(bytes, i+1)
	}
	legacy := func(hi, lo byte) []byte { return records(handshake(cat([]byte{hi, lo}, body[2:]))) }
	between := func(r []byte) []byte { return cat(half[:25], r, half[25:]) }
	repeat := func(n int) []byte { return []byte(strings.Repeat(string(empty), n)) }
	return []opening{
		{"tls plain", records(plain)},
		{"tls records of one byte", records(plain, bytes...)},
		{"tls record version 3.9", cat([]byte{22, 3, 9}, records(plain)[3:])},
		{"tls server hello", records(cat([]byte{2}, plain[1:]))},
		{"tls legacy 0x0200", legacy(2, 0)},
		{"tls legacy 0x0300", legacy(3, 0)},
		{"tls legacy 0x0304", legacy(3, 4)},
		{"tls legacy 0x1234", legacy(0x12, 0x34)},
		{"tls session id of 32", records(handshake(cat(body[:34], vec8(make([]byte, 32)), body[35:])))},
		{"tls session id of 33", records(handshake(cat(body[:34], vec8(make([]byte, 33)), body[35:])))},
		{"tls no ciphers", records(handshake(cat(body[:35], []byte{0, 0}, body[41:])))},
		{"tls odd ciphers", records(handshake(cat(body[:35], []byte{0, 3, 1, 2, 3}, body[41:])))},
		{"tls no compression", records(handshake(cat(body[:41], []byte{0}, body[43:])))},
		{"tls no extensions", records(handshake(body[:43]))},
		{"tls trailing byte", records(handshake(cat(body, []byte{0})))},
		{"tls bytes after", records(cat(plain, []byte{1}))},
		{"tls empty record first", cat(empty, records(plain))},
		{"tls 32 empty records between", between(repeat(32))},
		{"tls 33 empty records between", between(repeat(33))},
		{"tls alert first", cat([]byte{21, 3, 1, 0, 2, 1, 0}, records(plain))},
		{"tls alert between", between([]byte{21, 3, 1, 0, 2, 1, 0})},
		{"tls change cipher spec between", between([]byte{20, 3, 1, 0, 1, 1})},
		{"tls ssl2", cat([]byte{0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16, 0, 0, 0x39, 0, 0, 0x38, 0, 0, 0x35, 0, 0, 0x16, 0, 0, 0x13, 0, 0, 0x0a, 0, 0, 0x33}, make([]byte, 16))},
		{"tls sni other type", records(hello(ext{0, vec16(cat([]byte{1}, vec16([]byte("a"))))}))},
		{"tls sni two names", records(hello(ext{0, vec16(cat([]byte{0, 0, 1, 'a'}, []byte{0, 0, 1, 'b'}))}))},
		{"tls sni trailing byte", records(hello(ext{0, append(sni("a").data, 0)}))},
		{"tls sni empty list", records(hello(ext{0, []byte{0, 0}}))},
		{"tls duplicate", records(hello(a, a))},
		{"tls duplicate unknown", records(hello(a, ext{999, nil}, ext{999, nil}))},
		{"tls 129 unknown", records(hello(append(many, a)...))},
		{"tls alpn grease", records(hello(a, alpn("\x0a\x0a", "h2")))},
		{"tls alpn empty name", records(hello(a, alpn("h2", "")))},
		{"tls alpn empty list", records(hello(a, alpn()))},
		{"tls alpn trailing byte", records(hello(a, ext{extALPN, append(alpn("h2").data, 0)}))},
		{"tls versions empty", records(handshake(build([]ext{a, {extSupportedVersions, []byte{0}}})))},
		{"tls versions odd", records(handshake(build([]ext{a, {extSupportedVersions, vec8([]byte{3, 4, 3})}})))},
		{"tls versions draft", records(handshake(build([]ext{a, {extSupportedVersions, vec8([]byte{0x7f, 28})}})))},
		{"tls ech", records(hello(a, outerECH(32, 100)))},
		{"tls ech inner", records(hello(a, ext{extECH, []byte{1}}))},
		{"tls ech cut", records(hello(a, ext{extECH, []byte{0, 0}}))},
		{"tls ech unknown type", records(hello(a, ext{extECH, append([]byte{2}, outerECH(32, 9).data[1:]...)}))},
	}
}

var requestLines = []string{
	"GET / HTTP/1.1\r\n", "HEAD /a HTTP/1.0\r\n", "GET / HTTP/1.2\r\n", "GET / HTTP/1.1\n", "M-SEARCH * HTTP/1.1\r\n", "FOO / HTTP/1.1\r\n",
	"get / HTTP/1.1\r\n", "GET http://e.com/ HTTP/1.1\r\n", "GET HTTPS+x://[::1]:8 HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n",
	"CONNECT e.com:443 HTTP/1.1\r\n", preface, "PRI * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nXX\n", "\r\nGET / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n",
	"\tGET / HTTP/1.1\r\n", "\x00GET / HTTP/1.1\r\n", "SSH-2.0-O\r\n", "EHLO client.test\r\n", "*1\r\n$4\r\nPING\r\n", "HTTP/1.1 200 OK\r\n",
	"GET  / HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n", "GET\r/ HTTP/1.1\r\n", "GET\f/ HTTP/1.1\r\n", "GET /\v HTTP/1.1\r\n", "GET /\x00 HTTP/1.1\r\n",
	"GET /\x01 HTTP/1.1\r\n", "GET /\x7f HTTP/1.1\r\n", "GET /\xff HTTP/1.1\r\n", "GET /\r\n", "GET / \r\n", "GET \r\n", "GET\r\n", "FOO /bar\r\n",
	"CONNECT a:1\r\n", "GET /a b HTTP/1.1\r\n", "GET /a\tb HTTP/1.1\r\n", "GET /a\rb HTTP/1.1\r\n", "GET //a HTTP/1.1\r\n", "GET index.html HTTP/1.1\r\n",
	"GET a.test:80 HTTP/1.1\r\n", "GET *x HTTP/1.1\r\n", "GET ? HTTP/1.1\r\n", "GET mailto:x HTTP/1.1\r\n", "GET http:// HTTP/1.1\r\n",
	"GET ht2tp://a HTTP/1.1\r\n", "GET h://a@@b HTTP/1.1\r\n", "GET http://a\"b/ HTTP/1.1\r\n", "CONNECT / HTTP/1.1\r\n", "CONNECT a\"b HTTP/1.1\r\n",
	"CONNECT * HTTP/1.1\r\n", "CONNECT ? HTTP/1.1\r\n", "connect a:1 HTTP/1.1\r\n", "G@T / HTTP/1.1\r\n", "G:T / HTTP/1.1\r\n",
	"REQMOD icap://a/b ICAP/1.0\r\n", "OPTIONS rtsp://a/b RTSP/1.0\r\n", "INVITE sip:a@b SIP/2.0\r\n", "GET / http/1.1\r\n", "GET / HTTP/2.0\r\n",
	"GET / HTTP/0.9\r\n", "GET / HTTP/9.9\r\n", "GET / HTTP/11\r\n", "GET / HTTP/1.\r\n", "GET / HTTP/1.10\r\n", "GET / HTTP/01.1\r\n", "GET / HTTP/1.1 \r\n",
	"GET / HTTP/1.1\t\r\n", "GET / HTTP/1.1\r\r\n", "GET / HTTP/1.1\r \n", "GET / HTTP/1.1\rX\n", "GET / HTTP/1.1x\r\n", "GET / XHTTP/1.1\r\n",
	"GET / HTTP/1.1 HTTP/1.1\r\n", "GET / HTTP/1.1\x00\r\n", "GET / FOO\r\n", strings.Repeat("M", 9000) + " / HTTP/1.1\r\n",
}
