package fields

import (
	"hash/maphash"
	"strings"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/codec/h2/hpack"
	"github.com/weirproxy/weir/proxy/header"
)

// An Encoder compresses the field sections of one direction of a connection.
//
// A field enters the table when it is seen a second time, under a copy of the
// Encoder's own: what never comes twice (ids, dates, most paths) neither pushes
// others out nor is copied, and what does come again is found without a search of
// the table. Until then, and when secret, a field is a literal.
type Encoder struct {
	hp   *hpack.Encoder
	b    []byte // the block under way
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
type known struct {
	name, value string
	nameAt      uint8        // the static table's index of the name, or 0
	static      uint8        // … and of the whole field
	ticket      hpack.Ticket // of its place in the table
}

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

// NewEncoder makes an Encoder whose table has at most that many bytes, and at most
// 4096 until the peer says otherwise (RFC 7541 §4.2).
func NewEncoder(maxTable uint32) *Encoder {
	e := &Encoder{top: maxTable, seed: maphash.MakeSeed(), hp: hpack.NewEncoder()}
	e.SetPeerTableSize(4096)
	return e
}

// SetPeerTableSize takes the peer's SETTINGS_HEADER_TABLE_SIZE.
func (e *Encoder) SetPeerTableSize(n uint32) { e.hp.SetMax(min(n, e.top)) }

// Append appends the field block of a section to dst: pseudo-headers first, names
// in lower case, nothing that concerns one connection only.
func (e *Encoder) Append(dst []byte, h *header.Headers, k Kind) []byte {
	e.b = e.hp.Begin(dst)
	switch k {
	case Request:
		pseudo := requestPseudo[:]
		if !needsScheme(h) {
			pseudo = connectPseudo[:]
		}
		for _, n := range pseudo {
			if v, ok := h.Get(n); ok && (len(v) > 0 || n != header.Path) {
				e.field(n.String(), v)
			} else if n == header.Scheme {
				e.field(":scheme", plainScheme)
			}
		}
	case Response:
		e.field(":status", h.Value(header.Status))
	}
	for i := range h.Len() {
		name, value := h.At(i)
		if len(name) == 0 || name[0] == ':' || !sent(h.IDAt(i), value, k) {
			continue
		}
		e.field(e.lowered(name), value)
	}
	b := e.b
	e.b = nil
	return b
}

var plainScheme = []byte("http")

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

// field writes one field.
func (e *Encoder) field(name string, value []byte) {
	v := stringOf(value)
	if secret(name, value) {
		e.b = e.hp.Literal(e.b, hpack.StaticName(name), name, v, true)
		return
	}
	if len(name)+len(value) <= maxIndexed {
		if k := e.know(name, v); k != nil {
			e.again(k)
			return
		}
	}
	e.b = e.hp.Literal(e.b, hpack.StaticName(name), name, v, false)
}

// again writes a field that is known, by its index if it still has one.
func (e *Encoder) again(k *known) {
	if k.static > 0 {
		e.b = e.hp.Indexed(e.b, k.static)
		return
	}
	b, ok := e.hp.Again(e.b, k.ticket)
	if !ok {
		b, k.ticket = e.hp.Insert(e.b, k.nameAt, k.name, k.value)
	}
	e.b = b
}

// know gives a field that was seen before; nil the first time.
func (e *Encoder) know(name, value string) *known {
	x := maphash.String(e.seed, value) ^ uint64(len(name))*0x9e3779b97f4a7c15 // names of one value mostly differ in length
	set := &e.known[x%knownSets]
	for i := range set.fields {
		if k := &set.fields[i]; k.value == value && k.name == name {
			return k
		}
	}
	if e.once[(x>>16)%seenOnce].first(uint32(x>>32) | 1) {
		return nil
	}
	k := &set.fields[set.next%uint8(len(set.fields))]
	set.next++
	*k = known{
		name: strings.Clone(name), value: strings.Clone(value),
		nameAt: hpack.StaticName(name), static: hpack.StaticField(name, value),
	}
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
