package sniff

import (
	"testing"
)

// TestNoAllocations holds the promise of the package comment for whatever a
// listener filter calls.
func TestNoAllocations(t *testing.T) {
	_, hellos := corpus(t)
	var (
		wire  = hellos["go-ech"]
		split = records(message(t, wire), 2, 100, 700)
		s     TLS
		h     HTTP
		name  = make([]byte, 0, 255)
		line  = []byte("GET /index.html HTTP/1.1\r\n")

		protocols [][]byte
		v1        = []byte("PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1234 443\r\n")
		v1bad     = []byte("PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n")
		v2        = withChecksum(v2Header(0x21, 0x11, cat(make([]byte, 12), tlv(TLVALPN, "h2"))))
		byName    = map[string]func(){
			"TLS whole": func() { s.Reset(); s.Feed(wire) },
			"TLS in pieces": func() {
				s.Reset()
				for i := 0; i <= len(wire); i += 100 {
					s.Feed(wire[:i])
				}
				s.Feed(wire)
			},
			"TLS in records": func() {
				s.Reset()
				s.Feed(split[:800])
				s.Feed(split)
			},
			"TLS result": func() {
				name = s.AppendServerName(name[:0])
				protocols = s.AppendALPN(protocols[:0])
				for i := range s.NumALPN() {
					if s.ALPN(i) == nil {
						t.Error("no protocol")
					}
				}
				_ = s.OffersALPN("h2") && s.ECH() && s.MaxVersion() > 0 && s.Version(s.NumVersions()) == 0
			},
			"HTTP":         func() { h.Reset(); h.Feed(line[:9]); h.Feed(line) },
			"HTTP1":        func() { HTTP1(line) },
			"HTTP2Preface": func() { HTTP2Preface(line) },
			"PROXY v1":     func() { ParseProxy(v1) },
			"PROXY v1 bad": func() { ParseProxy(v1bad) },
			"PROXY v2": func() {
				h, _, _ := ParseProxy(v2)
				for {
					if _, _, ok := h.TLVs.Next(); !ok {
						break
					}
				}
			},
			"ports":  func() { _ = PortLabel(25) },
			"labels": func() { ClientLabel(v2[:20]); ClientLabel(wire[1:]); ServerLabel(line) },
		}
	)
	for name, f := range byName {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if st := s.Feed(split); st != Match || !s.ECH() {
		t.Errorf("%v %s", st, describe(&s))
	}
}
