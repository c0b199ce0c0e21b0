package hpack

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzHuffman holds our decoder to x/net's, and to what x/net encodes.
func FuzzHuffman(f *testing.F) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	f.Add(every)
	for _, s := range []string{
		"", "www.example.com", "/index.html?a=b", "\xff", "\xff\xff", "\xff\xff\xff\xff", "\x1f", "\x07\xff", "\x00", "\xfe", "\xff\xff\xfa\x7f",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, ok := appendHuffman(nil, hpack.AppendHuffmanString(nil, string(b))); !ok || !bytes.Equal(got, b) {
			t.Errorf("encoded %q: decoded %q, %v", b, got, ok)
		}
		var want bytes.Buffer
		_, err := hpack.HuffmanDecode(&want, b)
		got, ok := appendHuffman(nil, b)
		if ok != (err == nil) || ok && !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%x: decoded %q, %v; x/net %q, %v", b, got, ok, want.Bytes(), err)
		}
	})
}

func BenchmarkHuffman(b *testing.B) {
	v := hpack.AppendHuffmanString(nil, "/some/path/of/usual/length?with=query")
	b.Run("ours", func(b *testing.B) {
		var dst []byte
		for b.Loop() {
			dst, _ = appendHuffman(dst[:0], v)
		}
	})
	b.Run("x-net", func(b *testing.B) {
		var dst bytes.Buffer
		for b.Loop() {
			dst.Reset()
			_, _ = hpack.HuffmanDecode(&dst, v)
		}
	})
}
