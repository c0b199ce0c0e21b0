package sniff

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// ext is one extension of a built hello.
type ext struct {
	typ  uint16
	data []byte
}

// build makes the body of a ClientHello with the given extensions; with nil it
// ends behind the compression methods.
func build(exts []ext) []byte {
	b := append([]byte{3, 3}, make([]byte, 32)...)
	b = append(b, 0)                            // session id
	b = append(b, 0, 4, 0x0a, 0x0a, 0x13, 0x01) // GREASE, TLS_AES_128_GCM_SHA256
	b = append(b, 1, 0)                         // compression
	if exts == nil {
		return b
	}
	var e []byte
	for _, x := range exts {
		e = binary.BigEndian.AppendUint16(e, x.typ)
		e = append(e, vec16(x.data)...)
	}
	return append(b, vec16(e)...)
}

// handshake puts the header of a client_hello in front of body.
func handshake(body []byte) []byte {
	return append([]byte{typeClientHello, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func vec8(b []byte) []byte  { return append([]byte{byte(len(b))}, b...) }
func vec16(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

func cat(bs ...[]byte) []byte {
	return bytes.Join(bs, nil)
}

func sni(name string) ext {
	return ext{extServerName, vec16(cat([]byte{0}, vec16([]byte(name))))}
}

func alpn(names ...string) ext {
	var list []byte
	for _, n := range names {
		list = append(list, vec8([]byte(n))...)
	}
	return ext{extALPN, vec16(list)}
}

func outerECH(enc, payload int) ext {
	return ext{extECH, cat([]byte{0, 0, 1, 0, 1, 7}, vec16(make([]byte, enc)), vec16(make([]byte, payload)))}
}

// TestGrease reads a hello as a browser sends it, GREASE in every list.
func TestGrease(t *testing.T) {
	wire := records(handshake(build([]ext{
		{0x1a1a, nil},
		sni("WWW.Example.com."),
		alpn("\x5a\x5a", "h2", "\xfa\xfa", "http/1.1"),
		{extSupportedVersions, vec8([]byte{0x2a, 0x2a, 3, 4, 3, 3})},
		outerECH(32, 144),
		{0xcaca, []byte{0}},
	})))
	var s TLS
	if st := s.Feed(wire); st != Match {
		t.Fatalf("%v %s", st, s.Err())
	}
	const want = `sni="WWW.Example.com." alpn=["h2" "http/1.1"] legacy=TLSv1.2 max=TLSv1.3 versions=[TLSv1.3 TLSv1.2] ech=true size=`
	if got := describe(&s); !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(s.AppendServerName([]byte("name="))); got != "name=www.example.com" {
		t.Errorf("AppendServerName: %q", got)
	}
	if string(s.ALPN(1)) != "http/1.1" || string(s.ALPN(0)) != "h2" || s.ALPN(2) != nil || s.ALPN(-1) != nil {
		t.Errorf("ALPN out of order: %q %q", s.ALPN(1), s.ALPN(0))
	}
	if !s.OffersALPN("h2") || s.OffersALPN("h3") {
		t.Error("OffersALPN")
	}
	if s.Version(2) != 0 {
		t.Errorf("Version(2) = %x", s.Version(2))
	}
	s.Reset()
	if s.ServerName() != nil || s.NumALPN() != 0 || s.ECH() || s.HelloSize() != 0 {
		t.Errorf("after Reset: %s", describe(&s))
	}
}

func TestHelloBodies(t *testing.T) {
	full := build([]ext{})
	many := []ext{sni("a.test")}
	for i := range 3000 {
		many = append(many, ext{typ: 1000 + uint16(i)})
	}
	for _, tc := range []struct {
		name string
		body []byte
		want string // reason, "" for a match
	}{
		{"no extensions", build(nil), ""},
		{"empty extensions", full, ""},
		{"unknown extension", build([]ext{{4711, []byte("x")}}), ""},
		{"3000 unknown extensions", build(many), ""},
		{"… and a known one again", build(append(many, sni("b.test"))), reasonDuplicate},
		{"legacy version 0x0304", cat([]byte{3, 4}, full[2:]), ""},
		{"legacy version 0x0200", cat([]byte{2, 0}, full[2:]), ""},
		{"empty body", nil, reasonTruncated},
		{"random cut", full[:33], reasonTruncated},
		{"no session id", full[:34], reasonTruncated},
		{"session id of 33 bytes", cat(full[:34], vec8(make([]byte, 33)), full[35:]), reasonSessionID},
		{"session id of 32 bytes", cat(full[:34], vec8(make([]byte, 32)), full[35:]), ""},
		{"ciphers cut", full[:38], reasonTruncated},
		{"ciphers empty", cat(full[:35], []byte{0, 0, 1, 0}), reasonCiphers},
		{"ciphers odd", cat(full[:35], []byte{0, 3, 1, 2, 3, 1, 0}), reasonCiphers},
		{"no compression", full[:41], reasonTruncated},
		{"compression empty", cat(full[:41], []byte{0}), reasonCompression},
		{"one byte of extensions", full[:44], reasonTruncated},
		{"trailing byte", cat(full, []byte{0}), reasonTrailing},
		{"extension header cut", cat(full[:43], []byte{0, 3, 0, 1, 0}), reasonTruncated},
		{"extension data cut", cat(full[:43], []byte{0, 4, 0, 1, 0, 1}), reasonTruncated},
		{"duplicate known", build([]ext{sni("a"), sni("a")}), reasonDuplicate},
		{"duplicate unknown", build([]ext{{4711, nil}, {5, nil}, {4711, nil}}), reasonDuplicate},
		{"duplicate grease", build([]ext{{0x0a0a, nil}, {0x0a0a, nil}}), reasonDuplicate},

		{"sni", build([]ext{sni("a.b-c_d.test")}), ""},
		{"sni of 255 bytes", build([]ext{sni(strings.Repeat("a", 255))}), ""},
		{"sni of 256 bytes", build([]ext{sni(strings.Repeat("a", 256))}), reasonServerName},
		{"sni empty", build([]ext{sni("")}), reasonServerName},
		{"sni NUL", build([]ext{sni("a\x00b")}), reasonServerName},
		{"sni two names", build([]ext{{0, vec16(cat([]byte{0}, vec16([]byte("a")), []byte{0}, vec16([]byte("b"))))}}), reasonServerName},
		{"sni other type", build([]ext{{0, vec16(cat([]byte{1}, vec16([]byte("a"))))}}), reasonServerName},
		{"sni no list", build([]ext{{0, nil}}), reasonServerName},
		{"sni empty list", build([]ext{{0, []byte{0, 0}}}), reasonServerName},
		{"sni behind list", build([]ext{{0, append(sni("a").data, 0)}}), reasonServerName},
		{"duplicate ech", build([]ext{outerECH(1, 1), outerECH(1, 1)}), reasonDuplicate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := Bad
			if tc.want == "" {
				want = Match
			}
			wire := records(handshake(tc.body))
			var s TLS
			if st := s.Feed(wire); st != want || s.Err() != tc.want {
				t.Fatalf("%v %q, want %v %q", st, s.Err(), want, tc.want)
			}
			if want == Bad && (s.ServerName() != nil || s.NumALPN() != 0 || s.Hello() != nil) {
				t.Errorf("a bad hello still reports %s", describe(&s))
			}
		})
	}
}

// TestServerNames tests names as they come out for matching and logs; an
// Envoy 1.40 given the same bytes logs the same, but for the empty labels and
// the final dot.
func TestServerNames(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		valid      bool
	}{
		{"a.b-c_d.test", "a.b-c_d.test", true},
		{"WWW.Example.com.", "www.example.com", true},
		{"outbound_.80_._.a.b.svc.cluster.local", "outbound_.80_._.a.b.svc.cluster.local", true},
		{"192.0.2.1", "192.0.2.1", true},
		{"2001:db8::1", "invalid:2001_db8__1", false},
		{"*.Example.com", "invalid:_.example.com", false},
		{"a\nb", "invalid:a_b", false},
		{"ä.test", "invalid:__.test", false},
		{"a/b", "invalid:a_b", false},
		{".example.com", "invalid:.example.com", false},
		{"a..b", "invalid:a..b", false},
		{"a.b..", "invalid:a.b..", false},
		{".", "invalid:.", false},
	} {
		var s TLS
		if st := s.Feed(records(handshake(build([]ext{sni(tc.name)})))); st != Match || string(s.ServerName()) != tc.name {
			t.Errorf("%q: %v %q", tc.name, st, s.ServerName())
		}
		if got := string(s.AppendServerName(nil)); got != tc.want || s.ServerNameValid() != tc.valid {
			t.Errorf("%q: %q valid=%v, want %q %v", tc.name, got, s.ServerNameValid(), tc.want, tc.valid)
		}
	}
}

// TestUnreadableExtensions: what cannot be read of ALPN and of the versions is
// as if it was not sent, and an unreadable ECH extension counts as one.
func TestUnreadableExtensions(t *testing.T) {
	for _, tc := range []struct {
		name string
		ext  ext
		want string // of describe
	}{
		{"alpn", alpn("h2"), `alpn=["h2"]`},
		{"alpn of any bytes", alpn("\x00\xff"), `alpn=["\x00\xff"]`},
		{"alpn empty list", alpn(), "alpn=[]"},
		{"alpn empty name", alpn("h2", ""), "alpn=[]"},
		{"alpn cut", ext{extALPN, vec16(cat(vec8([]byte("h2")), []byte{3, 'h', '2'}))}, "alpn=[]"},
		{"alpn behind list", ext{extALPN, append(alpn("h2").data, 0)}, "alpn=[]"},
		{"alpn no list", ext{extALPN, nil}, "alpn=[]"},
		{"versions", ext{extSupportedVersions, []byte{2, 3, 4}}, "max=TLSv1.3 versions=[TLSv1.3]"},
		{"versions empty", ext{extSupportedVersions, []byte{0}}, "max=TLSv1.2 versions=[]"},
		{"versions odd", ext{extSupportedVersions, vec8([]byte{3, 4, 3})}, "max=TLSv1.2 versions=[]"},
		{"versions behind list", ext{extSupportedVersions, []byte{2, 3, 4, 0}}, "max=TLSv1.2 versions=[]"},
		{"versions no list", ext{extSupportedVersions, nil}, "max=TLSv1.2 versions=[]"},
		{"ech outer", outerECH(32, 144), "ech=true"},
		{"ech inner", ext{extECH, []byte{1}}, "ech=false"},
		{"ech inner with data", ext{extECH, []byte{1, 0}}, "ech=true"},
		{"ech empty", ext{extECH, nil}, "ech=true"},
		{"ech unknown type", ext{extECH, []byte{2, 0}}, "ech=true"},
	} {
		var s TLS
		if st := s.Feed(records(handshake(build([]ext{tc.ext})))); st != Match || !strings.Contains(describe(&s), tc.want) {
			t.Errorf("%s: %v %s, want %s", tc.name, st, describe(&s), tc.want)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		legacy byte
		exts   []ext
		want   uint16
	}{
		{"SSL 3", 0, nil, 0x0300},
		{"TLS 1.2", 3, nil, 0x0303},
		{"legacy above TLS 1.2", 4, nil, 0x0303},
		{"TLS 1.3", 3, []ext{{extSupportedVersions, vec8([]byte{3, 3, 3, 4})}}, 0x0304},
		{"draft and GREASE", 3, []ext{{extSupportedVersions, vec8([]byte{0x7f, 28, 0xba, 0xba})}}, 0},
	} {
		body := build(tc.exts)
		body[1] = tc.legacy
		var s TLS
		if st := s.Feed(records(handshake(body))); st != Match || s.MaxVersion() != tc.want {
			t.Errorf("%s: %v MaxVersion %#x, want %#x", tc.name, st, s.MaxVersion(), tc.want)
		}
	}
}

// TestFraming tests the layer of records and the handshake header: what is
// TLS, what is not, and from which byte on that is known.
func TestFraming(t *testing.T) {
	hello := handshake(build([]ext{sni("example.com")}))
	whole := records(hello)
	split := records(hello, 10)
	empty := []byte{22, 3, 1, 0, 0}
	at := func(b []byte, i int, c byte) []byte {
		b = bytes.Clone(b)
		b[i] = c
		return b
	}
	for _, tc := range []struct {
		name  string
		wire  []byte
		want  Status
		err   string
		known int // bytes that settle it
	}{
		{"whole", whole, Match, "", len(whole)},
		{"two records", split, Match, "", len(split)},
		{"bytes of the next record", cat(whole, []byte{20, 3, 3, 0, 1, 1}), Match, "", len(whole)},
		{"any minor record version", at(whole, 2, 9), Match, "", len(whole)},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), NoMatch, "", 1},
		{"alert", []byte{21, 3, 1, 0, 2, 2, 40}, NoMatch, "", 1},
		{"not version 3", at(whole, 1, 2), NoMatch, "", 2},
		{"empty records", cat(empty, empty, whole), Match, "", len(whole) + 10},
		{"empty record, HTTP", cat(empty, []byte("GET / HTTP/1.1\r\n")), NoMatch, "", 6},
		{"empty records without end", bytes.Repeat(empty, 40), NoMatch, "", 33 * 5},
		{"record of 2^14+1", []byte{22, 3, 1, 0x40, 1}, NoMatch, "", 5},
		{"server hello", at(whole, 5, 2), NoMatch, "", 6},
		{"SSL 2 hello", []byte{0x80, 46, 1, 3, 1, 0, 21}, NoMatch, "", 1},
		{"16 MiB", []byte{22, 3, 1, 1, 0, 1, 0xff, 0xff, 0xff}, Bad, ReasonHelloTooLarge, 9},
		{"empty hello", []byte{22, 3, 1, 0, 4, 1, 0, 0, 0}, Bad, reasonTruncated, 9},
		{"more in the record", at(whole, 4, whole[4]+1), Bad, reasonAfterHello, 9},
		{"alert between records", at(split, 15, 21), Bad, reasonRecordType, 16},
		{"record version between", at(split, 16, 2), Bad, reasonRecordVersion, 17},
		{"empty record between", cat(split[:15], empty, split[15:]), Match, "", len(split) + 5},
		{"32 empty records between", cat(split[:15], bytes.Repeat(empty, 32), split[15:]), Match, "", len(split) + 160},
		{"33 empty records between", cat(split[:15], bytes.Repeat(empty, 33), split[15:]), Bad, reasonRecordEmpty, 15 + 165},
		{"more in the last record", at(split, 19, split[19]+1), Bad, reasonAfterHello, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var whole, bytewise TLS
			if st := whole.Feed(tc.wire); st != tc.want || whole.Err() != tc.err {
				t.Fatalf("%v %q, want %v %q", st, whole.Err(), tc.want, tc.err)
			}
			for i := range tc.known {
				if st := bytewise.Feed(tc.wire[:i]); st != More {
					t.Fatalf("%v after %d bytes", st, i)
				}
			}
			if st := bytewise.Feed(tc.wire[:tc.known]); st != tc.want || bytewise.Err() != tc.err {
				t.Fatalf("%v %q after %d bytes", st, bytewise.Err(), tc.known)
			}
			if whole.Consumed() != bytewise.Consumed() {
				t.Errorf("looked at %d bytes at once, %d byte by byte", whole.Consumed(), bytewise.Consumed())
			}
			if st := bytewise.Feed(nil); st != tc.want {
				t.Errorf("%v when asked again", st)
			}
		})
	}
}

func TestHelloLimit(t *testing.T) {
	hello := func(size int) []byte {
		padding := size - len(build([]ext{{21, nil}})) - handshakeHeaderLen
		return handshake(build([]ext{{21, make([]byte, padding)}}))
	}
	for _, tc := range []struct {
		name  string
		limit int
		wire  []byte
		want  Status
	}{
		{"default, at the limit", 0, records(hello(DefaultHelloLimit - 5)), Match},
		{"default, a byte more", 0, records(hello(DefaultHelloLimit - 4)), Bad},
		{"raised", 1 << 15, records(hello(1<<15 - 10)), Match},
		{"raised, a byte more", 1 << 15, records(hello(1<<15 - 9)), Bad},
		{"the most", 1 << 20, records(hello(MaxHelloLimit - 20)), Match},
		{"the least", 1, records(hello(64 - 5)), Match},
		{"the least, a byte more", 1, records(hello(64 - 4)), Bad},
		{"record headers count", 100, records(hello(90), 10, 20), Bad},
		{"record headers fit", 100, records(hello(90), 10), Match},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s TLS
			s.SetHelloLimit(tc.limit)
			for i := 0; i <= len(tc.wire); i += 7 {
				s.Feed(tc.wire[:i])
			}
			if st := s.Feed(tc.wire); st != tc.want || (st == Bad) != (s.Err() == ReasonHelloTooLarge) {
				t.Errorf("%v %q, want %v", st, s.Err(), tc.want)
			}
			if tc.want == Bad && s.Consumed() > max(s.limit, DefaultHelloLimit) {
				t.Errorf("looked at %d bytes", s.Consumed())
			}
		})
	}
}

func TestFeedShrunk(t *testing.T) {
	var s TLS
	wire := records(handshake(build(nil)), 8)
	s.Feed(wire[:20])
	if st := s.Feed(wire[:3]); st != Bad || s.Err() != ReasonShrunk {
		t.Errorf("%v %q", st, s.Err())
	}
}

// TestScratch puts a hello of several records together in the caller's memory.
func TestScratch(t *testing.T) {
	hello := handshake(build([]ext{sni("example.com")}))
	var s TLS
	scratch := make([]byte, 0, 256)
	s.SetScratch(scratch)
	if st := s.Feed(records(hello, 4, 50)); st != Match || string(s.ServerName()) != "example.com" {
		t.Fatalf("%v %q", st, s.ServerName())
	}
	if !bytes.Equal(scratch[:len(hello)], hello) {
		t.Error("the hello is not in the scratch buffer")
	}
}
