// Package header keeps the fields of one HTTP message in wire order and in
// their original letter case: one byte arena, and a table of offsets into it.
//
// No map, no string, no pointer per field: parsing a head allocates nothing
// once a Headers has served a few messages, and the garbage collector has two
// slices to look at, whatever the number of fields.
package header

import (
	"strconv"
)

// field is 16 bytes of offsets into the arena.
type field struct {
	name, value uint32
	valueLen    uint32
	nameLen     uint16
	id          ID
}

// Headers is an ordered list of fields. Slices got from it are valid until the
// Headers is reset, which for a stream's own headers is the stream's end:
// whoever keeps one longer copies it. The zero value is empty and ready.
//
// A Headers is used by one goroutine at a time.
type Headers struct {
	buf    []byte
	fields []field
	saved  []field // what Mark copied
	maybe  uint64  // a bit for each ID that a field may have: what is not there needs no search
}

// Reset empties the list and keeps its memory.
func (h *Headers) Reset() {
	h.buf = h.buf[:0]
	h.fields = h.fields[:0]
	h.saved = h.saved[:0]
	h.maybe = 0
}

// Poison resets the list and overwrites its arena, so that a slice that
// outlived the stream shows as garbage. For tests.
func (h *Headers) Poison() {
	b := h.buf[:cap(h.buf)]
	for i := range b {
		b[i] = 0xAA
	}
	h.Reset()
}

// Shrink drops an arena that grew beyond limit bytes, so that one huge head does
// not stay with a pooled stream for ever.
func (h *Headers) Shrink(limit int) {
	if cap(h.buf) > limit {
		h.buf = nil
	}
}

// Len is the number of fields.
func (h *Headers) Len() int { return len(h.fields) }

// Size is the number of bytes of all names and values, plus 4 for each field
// (": " and CRLF), as limits on heads are counted.
func (h *Headers) Size() int {
	n := 0
	for i := range h.fields {
		n += int(h.fields[i].nameLen) + int(h.fields[i].valueLen) + 4
	}
	return n
}

// At gives the i-th field in wire order.
func (h *Headers) At(i int) (name, value []byte) {
	f := &h.fields[i]
	return h.buf[f.name : f.name+uint32(f.nameLen)], h.buf[f.value : f.value+f.valueLen]
}

// IDAt gives the well-known number of the i-th field's name.
func (h *Headers) IDAt(i int) ID { return h.fields[i].id }

// Get gives the value of the first field of that name.
func (h *Headers) Get(n Name) ([]byte, bool) {
	if i := h.Index(n, 0); i >= 0 {
		f := &h.fields[i]
		return h.buf[f.value : f.value+f.valueLen], true
	}
	return nil, false
}

// Value is Get without the flag: nil when the field is absent.
func (h *Headers) Value(n Name) []byte {
	v, _ := h.Get(n)
	return v
}

// Has tells whether a field of that name is there.
func (h *Headers) Has(n Name) bool { return h.Index(n, 0) >= 0 }

// Index gives the place of the first field of that name at or after from, or -1.
func (h *Headers) Index(n Name, from int) int {
	if h.maybe&(1<<n.id) == 0 {
		return -1
	}
	for i := from; i < len(h.fields); i++ {
		if h.is(i, n) {
			return i
		}
	}
	return -1
}

// is tells whether the i-th field has that name.
func (h *Headers) is(i int, n Name) bool {
	f := &h.fields[i]
	if f.id != n.id {
		return false
	}
	return n.id != Other || EqualFold(h.buf[f.name:f.name+uint32(f.nameLen)], n.lower)
}

// Count is the number of fields of that name.
func (h *Headers) Count(n Name) int {
	c := 0
	for i := h.Index(n, 0); i >= 0; i = h.Index(n, i+1) {
		c++
	}
	return c
}

// Joined gives all values of that name joined with "," as Envoy's matchers see
// them; scratch is used, and returned grown, only when there are several.
func (h *Headers) Joined(n Name, scratch []byte) (value, grown []byte, ok bool) {
	i := h.Index(n, 0)
	if i < 0 {
		return nil, scratch, false
	}
	_, first := h.At(i)
	j := h.Index(n, i+1)
	if j < 0 {
		return first, scratch, true
	}
	scratch = append(scratch[:0], first...)
	for ; j >= 0; j = h.Index(n, j+1) {
		_, v := h.At(j)
		scratch = append(append(scratch, ','), v...)
	}
	return scratch, scratch, true
}

// Add appends a field at the end.
func (h *Headers) Add(n Name, value []byte) {
	off := h.put(n.lower, value)
	h.push(field{off, off + uint32(len(n.lower)), uint32(len(value)), uint16(len(n.lower)), n.id})
}

// AddString is Add for a string value.
func (h *Headers) AddString(n Name, value string) {
	off := h.putString(n.lower, value)
	h.push(field{off, off + uint32(len(n.lower)), uint32(len(value)), uint16(len(n.lower)), n.id})
}

// AddInt is Add for a number in decimal.
func (h *Headers) AddInt(n Name, value int64) {
	var b [20]byte
	h.Add(n, strconv.AppendInt(b[:0], value, 10))
}

// AddRaw appends a field whose name keeps the letter case given. Names longer
// than 65,535 bytes are cut off by every codec long before; they panic here.
func (h *Headers) AddRaw(name, value []byte) { h.AddAs(Lookup(name), name, value) }

// AddAs is AddRaw for who has looked the name up.
func (h *Headers) AddAs(id ID, name, value []byte) {
	if len(name) > 0xffff {
		panic("header: name longer than 65535 bytes")
	}
	off := uint32(len(h.buf))
	h.buf = append(append(h.buf, name...), value...)
	h.push(field{off, off + uint32(len(name)), uint32(len(value)), uint16(len(name)), id})
}

// Set replaces the first field of that name, keeping its place and the letter
// case of its name, and removes the others; it adds the field if there is none.
func (h *Headers) Set(n Name, value []byte) {
	i := h.Index(n, 0)
	if i < 0 {
		h.Add(n, value)
		return
	}
	off := uint32(len(h.buf))
	h.buf = append(h.buf, value...)
	h.fields[i].value, h.fields[i].valueLen = off, uint32(len(value))
	h.delFrom(n, i+1)
}

// SetString is Set for a string value.
func (h *Headers) SetString(n Name, value string) {
	i := h.Index(n, 0)
	if i < 0 {
		h.AddString(n, value)
		return
	}
	off := uint32(len(h.buf))
	h.buf = append(h.buf, value...)
	h.fields[i].value, h.fields[i].valueLen = off, uint32(len(value))
	h.delFrom(n, i+1)
}

// SetInt is Set for a number in decimal.
func (h *Headers) SetInt(n Name, value int64) {
	var b [20]byte
	h.Set(n, strconv.AppendInt(b[:0], value, 10))
}

// Del removes every field of that name and gives their number.
func (h *Headers) Del(n Name) int { return h.delFrom(n, 0) }

// DelAt removes the i-th field.
func (h *Headers) DelAt(i int) { h.fields = append(h.fields[:i], h.fields[i+1:]...) }

func (h *Headers) delFrom(n Name, from int) int {
	if h.maybe&(1<<n.id) == 0 {
		return 0
	}
	w := from
	for r := from; r < len(h.fields); r++ {
		if !h.is(r, n) {
			h.fields[w] = h.fields[r]
			w++
		}
	}
	removed := len(h.fields) - w
	h.fields = h.fields[:w]
	if from == 0 && n.id != Other {
		h.maybe &^= 1 << n.id
	}
	return removed
}

// A Mark is what Rewind returns to.
type Mark struct {
	buf   int
	maybe uint64
}

// Mark remembers the list as it is: the field table is copied, the bytes never.
// There is one mark at a time; a second replaces the first.
func (h *Headers) Mark() Mark {
	h.saved = append(h.saved[:0], h.fields...)
	return Mark{len(h.buf), h.maybe}
}

// Rewind undoes every change since the mark.
func (h *Headers) Rewind(m Mark) {
	h.fields = append(h.fields[:0], h.saved...)
	h.buf = h.buf[:m.buf]
	h.maybe = m.maybe
}

// CopyFrom makes h a copy of src.
func (h *Headers) CopyFrom(src *Headers) {
	h.buf = append(h.buf[:0], src.buf...)
	h.fields = append(h.fields[:0], src.fields...)
	h.saved = h.saved[:0]
	h.maybe = src.maybe
}

// Block copies a raw head into the arena for a parser, which then names parts
// of it by AddAt: base is where the block begins.
func (h *Headers) Block(raw []byte) (base int) {
	base = len(h.buf)
	h.buf = append(h.buf, raw...)
	return base
}

// Bytes is the arena; a parser reads its block there.
func (h *Headers) Bytes() []byte { return h.buf }

// AddAt appends a field whose name and value lie in the arena already.
func (h *Headers) AddAt(id ID, name, nameLen, value, valueLen int) {
	h.push(field{uint32(name), uint32(value), uint32(valueLen), uint16(nameLen), id})
}

// AddPseudo appends a field of a well-known name whose value lies in the arena.
func (h *Headers) AddPseudo(n Name, value, valueLen int) {
	off := len(h.buf)
	h.buf = append(h.buf, n.lower...)
	h.AddAt(n.id, off, len(n.lower), value, valueLen)
}

func (h *Headers) push(f field) {
	h.fields = append(h.fields, f)
	h.maybe |= 1 << f.id
}

func (h *Headers) put(name string, value []byte) uint32 {
	off := uint32(len(h.buf))
	h.buf = append(append(h.buf, name...), value...)
	return off
}

func (h *Headers) putString(name, value string) uint32 {
	off := uint32(len(h.buf))
	h.buf = append(append(h.buf, name...), value...)
	return off
}
