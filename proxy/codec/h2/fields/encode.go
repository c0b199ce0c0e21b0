package fields

import (
	"hash/maphash"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
)

// An Encoder compresses the field sections of one direction of a connection.
//
// x/net's encoder keeps the strings that enter its table, and a Headers has none
// that last. So a field enters the table only when it is seen a second time, under
// a copy of the Encoder's own: what never comes twice (ids, dates, most paths)
// neither pushes others out nor is copied, and what does come again costs nothing
// more. Until then, and when secret, a field is a literal.
type Encoder struct {
	hp   *hpack.Encoder
	out  sink
	top  uint32 // bytes our table may have
	seed maphash.Seed

	known [knownSets]set
	once  [seenOnce]glimpses // what was seen a first time, by hash
	lower []byte             // scratch for names that came in upper case
}

const (
	knownSets = 32
	seenOnce  = 64
	// maxIndexed is the longest field, in bytes, that may enter the table: a longer
	// one would push out too many others.
	maxIndexed = 512
)

// known is a field that was seen before; its strings last.
type known struct{ name, value string }

// set has the fields whose hashes fall together; the next to go is at next.
type set struct {
	fields [4]known
	next   uint8
}

// glimpses are hashes of fields that were seen once, and whose fall together; the
// next to be forgotten is at next.
type glimpses struct {
	marks [4]uint32
	next  uint8
}

// first tells whether a hash was not seen of late, and remembers it.
func (g *glimpses) first(mark uint32) bool {
	for _, m := range g.marks {
		if m == mark {
			return false
		}
	}
	g.marks[g.next%uint8(len(g.marks))] = mark
	g.next++
	return true
}

// sink is where x/net's encoder writes to.
type sink struct{ b []byte }

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// NewEncoder makes an Encoder whose table has at most that many bytes, and at most
// 4096 until the peer says otherwise (RFC 7541 §4.2).
func NewEncoder(maxTable uint32) *Encoder {
	e := &Encoder{top: maxTable, seed: maphash.MakeSeed()}
	e.hp = hpack.NewEncoder(&e.out)
	e.SetPeerTableSize(4096)
	return e
}

// SetPeerTableSize takes the peer's SETTINGS_HEADER_TABLE_SIZE.
func (e *Encoder) SetPeerTableSize(n uint32) {
	n = min(n, e.top)
	e.hp.SetMaxDynamicTableSizeLimit(n)
	e.hp.SetMaxDynamicTableSize(n)
}

// Append appends the field block of a section to dst: pseudo-headers first, names
// in lower case, nothing that concerns one connection only.
func (e *Encoder) Append(dst []byte, h *header.Headers, k Kind) []byte {
	e.out.b = dst
	first := true
	switch k {
	case Request:
		pseudo := requestPseudo[:]
		if !needsScheme(h) {
			pseudo = connectPseudo[:]
		}
		for _, n := range pseudo {
			if v, ok := h.Get(n); ok && (len(v) > 0 || n != header.Path) {
				e.field(n.String(), v, first)
				first = false
			} else if n == header.Scheme {
				e.field(":scheme", []byte("http"), false)
			}
		}
	case Response:
		e.field(":status", h.Value(header.Status), true)
		first = false
	}
	for i := range h.Len() {
		name, value := h.At(i)
		if len(name) == 0 || name[0] == ':' || !sent(h.IDAt(i), value, k) {
			continue
		}
		e.field(e.lowered(name), value, first)
		first = false
	}
	b := e.out.b
	e.out.b = nil
	return b
}

var (
	requestPseudo = [...]header.Name{header.Method, header.Scheme, header.Authority, header.Path, header.Protocol}
	connectPseudo = [...]header.Name{header.Method, header.Authority} // RFC 9113 §8.5
)

// needsScheme tells whether a request has to have a scheme: all but CONNECT.
func needsScheme(h *header.Headers) bool {
	return string(h.Value(header.Method)) != "CONNECT" || h.Has(header.Protocol)
}

// sent tells whether a field may be sent (RFC 9113 §8.2.2).
func sent(id header.ID, value []byte, k Kind) bool {
	switch id {
	case header.IDConnection, header.IDKeepAlive, header.IDProxyConnection, header.IDTransferEncoding, header.IDUpgrade:
		return false
	case header.IDTE:
		return grammar.EqualFold(value, "trailers")
	case header.IDAuthority:
		return k != Request // it went as :authority
	}
	return true
}

// lowered gives a name in lower case, which lasts until the next.
func (e *Encoder) lowered(name []byte) string {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			e.lower = append(e.lower[:0], name...)
			for j := i; j < len(name); j++ {
				if c := name[j]; 'A' <= c && c <= 'Z' {
					e.lower[j] = c + 'a' - 'A'
				}
			}
			return stringOf(e.lower)
		}
	}
	return stringOf(name)
}

// field writes one field. The first of a block goes through x/net's encoder in any
// case, which writes a change of the table's size before it.
func (e *Encoder) field(name string, value []byte, first bool) {
	if secret(name, value) {
		if first {
			e.write(known{strings.Clone(name), string(value)}, true)
			return
		}
		e.literal(name, value, 0x10)
		return
	}
	v := stringOf(value)
	if first || len(name)+len(value) <= maxIndexed {
		if k := e.know(name, v, first); k != nil {
			e.write(*k, false)
			return
		}
	}
	e.literal(name, value, 0)
}

func (e *Encoder) write(k known, sensitive bool) {
	// The sink takes everything.
	_ = e.hp.WriteField(hpack.HeaderField{Name: k.name, Value: k.value, Sensitive: sensitive})
}

// know gives the lasting strings of a field that is worth a place in the table: it
// was seen before, or must be known.
func (e *Encoder) know(name, value string, must bool) *known {
	x := maphash.String(e.seed, name)*31 ^ maphash.String(e.seed, value)
	set := &e.known[x%knownSets]
	for i := range set.fields {
		if k := &set.fields[i]; k.value == value && k.name == name {
			return k
		}
	}
	if !must && e.once[(x>>16)%seenOnce].first(uint32(x>>32)|1) {
		return nil
	}
	k := &set.fields[set.next%uint8(len(set.fields))]
	set.next++
	*k = known{strings.Clone(name), strings.Clone(value)}
	return k
}

// secret tells whether a field must not enter a table, ours or a later one, where
// it could be guessed bit by bit (RFC 7541 §7.1.3).
func secret(name string, value []byte) bool {
	switch name {
	case "authorization", "proxy-authorization":
		return true
	case "cookie", "set-cookie":
		return len(value) < 20
	}
	return false
}

// literal writes a field without putting it into the table: pattern says whether
// others may (RFC 7541 §6.2.2, §6.2.3).
func (e *Encoder) literal(name string, value []byte, pattern byte) {
	b := e.out.b
	if i := staticNames[name]; i > 0 {
		b = appendInt(b, pattern, 4, uint64(i))
	} else {
		b = appendString(append(b, pattern), name)
	}
	e.out.b = appendString(b, stringOf(value))
}

// appendString writes a string, compressed if that makes it shorter (RFC 7541 §5.2).
func appendString(b []byte, s string) []byte {
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		return hpack.AppendHuffmanString(appendInt(b, 0x80, 7, n), s)
	}
	return append(appendInt(b, 0, 7, uint64(len(s))), s...)
}

// appendInt writes an integer with an n-bit prefix below the pattern (RFC 7541 §5.1).
func appendInt(b []byte, pattern byte, n int, v uint64) []byte {
	k := uint64(1)<<n - 1
	if v < k {
		return append(b, pattern|byte(v))
	}
	b = append(b, pattern|byte(k))
	for v -= k; v >= 128; v >>= 7 {
		b = append(b, 0x80|byte(v))
	}
	return append(b, byte(v))
}

// staticNames has the names of HPACK's static table (RFC 7541 appendix A).
var staticNames = map[string]uint8{
	":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8, "accept-charset": 15, "accept-encoding": 16,
	"accept-language": 17, "accept-ranges": 18, "accept": 19, "access-control-allow-origin": 20, "age": 21, "allow": 22,
	"authorization": 23, "cache-control": 24, "content-disposition": 25, "content-encoding": 26, "content-language": 27,
	"content-length": 28, "content-location": 29, "content-range": 30, "content-type": 31, "cookie": 32, "date": 33,
	"etag": 34, "expect": 35, "expires": 36, "from": 37, "host": 38, "if-match": 39, "if-modified-since": 40,
	"if-none-match": 41, "if-range": 42, "if-unmodified-since": 43, "last-modified": 44, "link": 45, "location": 46,
	"max-forwards": 47, "proxy-authenticate": 48, "proxy-authorization": 49, "range": 50, "referer": 51, "refresh": 52,
	"retry-after": 53, "server": 54, "set-cookie": 55, "strict-transport-security": 56, "transfer-encoding": 57,
	"user-agent": 58, "vary": 59, "via": 60, "www-authenticate": 61,
}
