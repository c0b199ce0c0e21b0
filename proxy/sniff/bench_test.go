package sniff

import "testing"

func BenchmarkTLS(b *testing.B) {
	_, hellos := corpus(b)
	hello := hellos["go-alpn"]
	msg := message(b, hello)
	for _, bc := range []struct {
		name string
		wire []byte
		step int
	}{
		{"whole", hello, len(hello)},
		{"two segments", hello, 1000},
		{"every byte", hello, 1},
		{"two records", records(msg, 700), 2000},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bc.wire)))
			var s TLS
			for b.Loop() {
				s.Reset()
				for n := bc.step; n < len(bc.wire); n += bc.step {
					s.Feed(bc.wire[:n])
				}
				if s.Feed(bc.wire) != Match {
					b.Fatal(s.Err())
				}
			}
		})
	}
}

func BenchmarkHTTP(b *testing.B) {
	line := []byte("GET /api/v1/items?id=4711&verbose=true HTTP/1.1\r\nHost: example.com\r\n\r\n")
	b.ReportAllocs()
	var h HTTP
	for b.Loop() {
		h.Reset()
		if st, _ := h.Feed(line); st != Match {
			b.Fatal(st)
		}
	}
}

func BenchmarkParseProxy(b *testing.B) {
	for name, header := range map[string][]byte{
		"v1": []byte("PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n"),
		"v2": v2Header(0x21, 0x11, make([]byte, 12)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, st := ParseProxy(header); st != Match {
					b.Fatal(st)
				}
			}
		})
	}
}
