package hpack

// A Decoder decodes the field blocks of one direction of a connection.
type Decoder struct {
	t       table
	allowed uint32 // what we told the peer its table may have
	name    scratch
	value   scratch
}

// scratch takes what Huffman decoding writes.
type scratch struct{ b []byte }

// NewDecoder makes a Decoder with a table of at most that many bytes
// (SETTINGS_HEADER_TABLE_SIZE).
func NewDecoder(tableSize uint32) *Decoder {
	d := &Decoder{allowed: tableSize}
	d.t.max = tableSize
	return d
}

// Decode decodes a whole field block and calls emit for each field, whose bytes are
// valid during the call, until emit says false: what follows is decoded for the
// table's sake. nil emits nothing.
func (d *Decoder) Decode(b []byte, emit func(name, value []byte) bool) error {
	wanted := emit != nil
	first := true
	for len(b) > 0 {
		var name, value []byte
		var ok bool
		switch c := b[0]; {
		case c&0x80 != 0: // indexed (§6.1)
			var i uint64
			if i, b, ok = readInt(b, 7); !ok {
				return ErrDecode
			}
			if name, value, ok = d.at(i); !ok {
				return ErrDecode
			}
		case c&0xe0 == 0x20: // table size update (§6.3)
			var n uint64
			if n, b, ok = readInt(b, 5); !ok || !first || n > uint64(d.allowed) {
				return ErrDecode
			}
			d.t.setMax(uint32(n))
			continue
		default: // a literal (§6.2)
			prefix, index := uint(4), c&0xc0 == 0x40
			if index {
				prefix = 6
			}
			if name, value, b, ok = d.literal(b, prefix); !ok {
				return ErrDecode
			}
			if index {
				d.t.add(name, value)
			}
		}
		first = false
		wanted = wanted && emit(name, value)
	}
	return nil
}

// at gives the field of an index (RFC 7541 §2.3.3).
func (d *Decoder) at(i uint64) (name, value []byte, ok bool) {
	if i == 0 {
		return nil, nil, false
	}
	if i < uint64(len(static)) {
		f := &static[i]
		return bytesOf(f.name), bytesOf(f.value), true
	}
	return d.t.at(i - uint64(len(static)))
}

// literal reads a literal field.
func (d *Decoder) literal(b []byte, prefix uint) (name, value, rest []byte, ok bool) {
	i, b, ok := readInt(b, prefix)
	if !ok {
		return nil, nil, nil, false
	}
	if i == 0 {
		name, b, ok = d.name.read(b)
	} else if name, _, ok = d.at(i); ok && i >= uint64(len(static)) {
		// It may be pushed out, or moved, when this field enters the table.
		d.name.b = append(d.name.b[:0], name...)
		name = d.name.b
	}
	if !ok {
		return nil, nil, nil, false
	}
	value, b, ok = d.value.read(b)
	return name, value, b, ok
}

// read reads a string (RFC 7541 §5.2); it lies in the block, or in the scratch.
func (s *scratch) read(b []byte) (v, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	huffman := b[0]&0x80 != 0
	n, b, ok := readInt(b, 7)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	v, rest = b[:n], b[n:]
	if !huffman {
		return v, rest, true
	}
	s.b, ok = appendHuffman(s.b[:0], v)
	return s.b, rest, ok
}
