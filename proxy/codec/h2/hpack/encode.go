package hpack

import (
	"unsafe"

	"golang.org/x/net/http2/hpack"
)

// An Encoder encodes the field blocks of one direction of a connection. It keeps
// account of the peer's table, not of its bytes: who inserts a field remembers the
// ticket it got.
type Encoder struct {
	sizes   []uint32 // of the entries, a ring; the oldest at head
	head, n int
	next    Ticket // of the next insertion
	size    uint32
	max     uint32

	changed bool   // the peer must be told of max at the beginning of the next block
	lowest  uint32 // the least it was since the peer was told
}

// A Ticket names an insertion into the table; 0 is none.
type Ticket uint64

// NewEncoder makes an Encoder for a table of the initial 4096 bytes.
func NewEncoder() *Encoder { return &Encoder{max: 4096, next: 1} }

// SetMax changes how many bytes the table may have: the less of what the peer
// allows (SETTINGS_HEADER_TABLE_SIZE) and what we want.
func (e *Encoder) SetMax(n uint32) {
	if n == e.max && !e.changed {
		return
	}
	if !e.changed || n < e.lowest {
		e.lowest = n
	}
	e.changed, e.max = true, n
	e.shrink(n)
}

func (e *Encoder) shrink(n uint32) {
	for e.size > n {
		e.size -= e.sizes[e.head]
		e.head = (e.head + 1) % len(e.sizes)
		e.n--
	}
}

// Begin begins a block at the end of b.
func (e *Encoder) Begin(b []byte) []byte {
	if e.changed {
		e.changed = false
		if e.lowest < e.max {
			// Two changes are told as two (RFC 7541 §4.2), the first as to nothing: x/net's
			// decoder takes the second only of an empty table.
			b = appendInt(b, 0x20, 5, 0)
			e.shrink(0)
		}
		b = appendInt(b, 0x20, 5, uint64(e.max))
	}
	return b
}

// Indexed writes a field of the static table.
func (e *Encoder) Indexed(b []byte, i uint8) []byte { return appendInt(b, 0x80, 7, uint64(i)) }

// Again writes a field by the ticket of its insertion; ok is false, and nothing
// written, when the table has dropped it meanwhile.
func (e *Encoder) Again(b []byte, t Ticket) (_ []byte, ok bool) {
	age := uint64(e.next - t) // 1 is the newest
	if t == 0 || age > uint64(e.n) {
		return b, false
	}
	return appendInt(b, 0x80, 7, uint64(len(static))-1+age), true
}

// Insert writes a field and puts it into the table. nameAt is the static table's
// index of its name, or 0.
func (e *Encoder) Insert(b []byte, nameAt uint8, name, value string) ([]byte, Ticket) {
	b = literal(b, 0x40, 6, nameAt, name, value)
	need := uint64(len(name)) + uint64(len(value)) + overhead
	if need > uint64(e.max) {
		e.shrink(0)
		return b, 0
	}
	e.shrink(e.max - uint32(need))
	if e.n == len(e.sizes) {
		next := make([]uint32, max(2*len(e.sizes), 16))
		for i := range e.n {
			next[i] = e.sizes[(e.head+i)%len(e.sizes)]
		}
		e.sizes, e.head = next, 0
	}
	e.sizes[(e.head+e.n)%len(e.sizes)] = uint32(need)
	e.n++
	e.size += uint32(need)
	t := e.next
	e.next++
	return b, t
}

// Literal writes a field without putting it into the table; never says that no
// other hop may either (RFC 7541 §6.2.3).
func (e *Encoder) Literal(b []byte, nameAt uint8, name, value string, never bool) []byte {
	if never {
		return literal(b, 0x10, 4, nameAt, name, value)
	}
	return literal(b, 0, 4, nameAt, name, value)
}

func literal(b []byte, pattern byte, prefix uint, nameAt uint8, name, value string) []byte {
	b = appendInt(b, pattern, prefix, uint64(nameAt))
	if nameAt == 0 {
		b = appendString(b, name)
	}
	return appendString(b, value)
}

// appendString writes a string, compressed if that makes it shorter (RFC 7541 §5.2).
func appendString(b []byte, s string) []byte {
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		return hpack.AppendHuffmanString(appendInt(b, 0x80, 7, n), s)
	}
	return append(appendInt(b, 0, 7, uint64(len(s))), s...)
}

// bytesOf sees a string as bytes, which must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
