package tree

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/match"
)

// FuzzDecode compiles anything and asks what compiles: nothing panics, a trace changes no answer, and no tree is larger than it
// may be.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/match/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		yaml, _, _ := strings.Cut(string(text), "\n----\n")
		b, err := proto.Marshal(parse(f, yaml))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "10.1.1.1", "a.example.com")
	}
	f.Fuzz(func(t *testing.T, b []byte, src, text string) {
		m := &matcherv3.Matcher{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		tr, err := Decode(m, Options{Inputs: everything, KeepMatching: true}, word)
		if err != nil {
			return
		}
		if tr.Len() > maxSize {
			t.Fatalf("%d", tr.Len())
		}
		in := &Input{}
		text = strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, text)
		words := []string{"conn", "sni=" + text, "alpn=" + text, "uri=" + text, "h/x-a=" + text, "h/:path=" + text, "r/:status=" + text}
		if _, err := netip.ParseAddr(src); err == nil {
			words = append(words, "src="+src, "direct="+src, "dst="+src)
		}
		fill(t, in, words)
		a, ok := tr.Match(in, nil)
		if b, again := tr.Match(in, &match.Trace{}); a != b || ok != again {
			t.Fatalf("%q %v, with a trace %q %v", a, ok, b, again)
		}
		tr.Match(&Input{}, &match.Trace{})
	})
}

// FuzzParseAddr compares with netip.
func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{
		"", "1.2.3.4", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4 ", "::", "::1", "1::", ":::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
		"::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1.2.3.4", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
		"1:2:3:4:5:6::1.2.3.4", "1:", ":1", "1::2:", "fe80::1%eth0", "12345::", "g::", "::1.2.3", "::1.2.3.4:5", "A:b::",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := netip.ParseAddr(s)
		wantOK := err == nil && want.Zone() == ""
		got, ok := parseAddr([]byte(s))
		if ok != wantOK || ok && got != want.Unmap() {
			t.Fatalf("%q: %v %v, want %v %v", s, got, ok, want, wantOK)
		}
	})
}
