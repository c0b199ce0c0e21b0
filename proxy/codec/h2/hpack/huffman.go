package hpack

import "golang.org/x/net/http2/hpack"

// The Huffman code of RFC 7541 Appendix B, as a tree whose steps are up to eight
// bits wide: most octets of a field are found at the first.

// step is what eight bits at one place of the tree lead to.
type step struct {
	next uint8 // the place to go on at; 0: sym was found
	bits uint8 // how many of the eight belong to sym; 0: no code begins so
	sym  byte
}

// huffman is the tree: place 0 is its root. It is made from x/net's encoder, so
// that the code is written down once.
var huffman = func() (t [][256]step) {
	t = make([][256]step, 1)
	for sym := range 256 {
		code, n := codeOf(byte(sym))
		at := uint8(0)
		for ; n > 8; n -= 8 {
			s := &t[at][byte(code>>(n-8))]
			if s.next == 0 {
				s.next, s.bits = uint8(len(t)), 8
				t = append(t, [256]step{})
				s = &t[at][byte(code>>(n-8))]
			}
			at = s.next
		}
		low := byte(code << (8 - n))
		for i := range 1 << (8 - n) {
			t[at][int(low)+i] = step{bits: uint8(n), sym: byte(sym)}
		}
	}
	return t
}()

// codeOf gives an octet's code, in the n lowest bits: eight of it fill n octets.
func codeOf(sym byte) (code uint64, n int) {
	eight := string([]byte{sym, sym, sym, sym, sym, sym, sym, sym})
	n = len(hpack.AppendHuffmanString(nil, eight))
	b := hpack.AppendHuffmanString(nil, eight[:1])
	for _, c := range b {
		code = code<<8 | uint64(c)
	}
	return code >> (8*len(b) - n), n
}

// appendHuffman appends what v says; false says that it is not in the code: it has
// EOS, or ends in something else than up to seven ones (RFC 7541 §5.2).
func appendHuffman(dst, v []byte) ([]byte, bool) {
	root := &huffman[0]
	t := root
	var acc uint64 // its have lowest bits are to be looked at
	have := uint(0)
	for {
		for have <= 56 && len(v) > 0 {
			acc = acc<<8 | uint64(v[0])
			v = v[1:]
			have += 8
		}
		for have >= 8 {
			s := t[byte(acc>>(have-8))]
			have -= uint(s.bits)
			if s.next == 0 {
				if s.bits == 0 {
					return dst, false
				}
				dst = append(dst, s.sym)
				t = root
				continue
			}
			t = &huffman[s.next]
		}
		if len(v) == 0 {
			break
		}
	}
	for have > 0 {
		s := t[byte(acc<<(8-have))|0xff>>have] // what is missing, as if padded
		if s.bits == 0 || uint(s.bits) > have {
			return dst, s.bits > 0 && t == root && acc&(1<<have-1) == 1<<have-1
		}
		dst = append(dst, s.sym)
		have -= uint(s.bits)
		t = root
	}
	return dst, t == root
}
