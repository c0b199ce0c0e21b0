package sniff

import (
	"os"
	"strings"
	"testing"
)

// fingerprints is what a real Envoy found of the openings that it took for TLS: JA3 and JA4
// (go test -run TestLikeEnvoy -rewrite -envoy PROGRAM asks again).
const fingerprints = "testdata/fingerprints.txt"

func TestFingerprintsLikeEnvoy(t *testing.T) {
	b, err := os.ReadFile(fingerprints)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, answer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		want[name] = answer
	}
	compared := 0
	for _, o := range openings(t) {
		var s TLS
		if s.Feed(o.wire) != Match || want[o.name] == "" {
			continue
		}
		compared++
		if got := fingerprint(&s); (got != want[o.name]) != (o.name == "tls versions odd") { // which counts as not sent here
			t.Errorf("%s: %s, Envoy says %s (%s)", o.name, got, want[o.name], s.appendJA3Text(nil))
		}
	}
	if compared < 250 {
		t.Errorf("only %d compared", compared)
	}
}

func fingerprint(s *TLS) string { return string(s.AppendJA4(append(s.AppendJA3(nil), ' '))) }

// TestJA3Text holds what is hashed to examples of JA3's own documentation.
func TestJA3Text(t *testing.T) {
	groups := func(g ...byte) ext { return ext{extGroups, vec16(g)} }
	f := func(name string, m []byte, text, ja3 string) {
		t.Helper()
		var s TLS
		if st := s.Feed(records(m)); st != Match {
			t.Fatalf("%s: %v %s", name, st, s.Err())
		}
		if got := string(s.appendJA3Text(nil)); got != text {
			t.Errorf("%s: %s, want %s", name, got, text)
		}
		if got := string(s.AppendJA3(nil)); got != ja3 {
			t.Errorf("%s: %s, want %s", name, got, ja3)
		}
	}
	suites := func(list ...uint16) []byte {
		var b []byte
		for _, v := range list {
			b = append(b, byte(v>>8), byte(v))
		}
		return b
	}
	f("with extensions", ja3Hello(suites(47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4),
		ext{0, sni("a.test").data}, groups(0, 23, 0, 24, 0, 25), ext{extPointFormats, vec8([]byte{0})}),
		"769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0", "ada70206e40642a3e4461f35503241d5")
	f("without", ja3Hello(suites(4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99)),
		"769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6")
	f("GREASE", ja3Hello(suites(0x0a0a, 4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99, 0xfafa), ext{0x1a1a, nil}),
		"769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6")
}

// ja3Hello is a ClientHello of TLS 1.0 with the given suites.
func ja3Hello(suites []byte, exts ...ext) []byte {
	body := cat([]byte{3, 1}, make([]byte, 32), []byte{0}, vec16(suites), []byte{1, 0})
	if len(exts) > 0 {
		var all []byte
		for _, e := range exts {
			all = cat(all, []byte{byte(e.typ >> 8), byte(e.typ)}, vec16(e.data))
		}
		body = cat(body, vec16(all))
	}
	return handshake(body)
}

// TestJA4ALPN holds the two characters of the protocol to the rules of JA4's documentation, section ALPN.
func TestJA4ALPN(t *testing.T) {
	for name, want := range map[string]string{
		"h2": "h2", "http/1.1": "h1", "x": "xx", "\xab": "ab", "\x30\xab": "3b", "\x30\x31\xab\xcd": "3d", "é": "c9",
	} {
		first, last := ja4ALPN(vec16(vec8([]byte(name))))
		if got := string([]byte{first, last}); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	for _, b := range [][]byte{nil, {0}, {0, 0}, {0, 1, 0}, {0, 5, 4, 'a'}} {
		if first, last := ja4ALPN(b); first != '0' || last != '0' {
			t.Errorf("%x: %c%c", b, first, last)
		}
	}
}

// FuzzFingerprint: no hello that is read makes a fingerprint of another form.
func FuzzFingerprint(f *testing.F) {
	_, hellos := corpus(f)
	for _, b := range hellos {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s TLS
		if s.Feed(b) != Match {
			return
		}
		got := fingerprint(&s)
		if len(got) != 32+1+36 || got[43] != '_' || got[56] != '_' {
			t.Errorf("%q", got)
		}
	})
}
