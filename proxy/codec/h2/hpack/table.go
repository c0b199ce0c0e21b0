package hpack

// table is a dynamic table (RFC 7541 §2.3.2) whose entries lie in one block of
// memory: nothing is allocated once it has grown.
type table struct {
	buf     []byte // the entries' bytes, the oldest first, from the oldest's off
	entries []entry
	head, n int // entries[head] is the oldest, n there are
	size    uint32
	max     uint32
}

type entry struct{ off, name, value uint32 } // where it begins, and lengths

func (t *table) setMax(n uint32) {
	t.max = n
	t.shrink(n)
}

// shrink drops the oldest entries until what is left has at most that size.
func (t *table) shrink(n uint32) {
	for t.size > n {
		e := &t.entries[t.head]
		t.size -= e.name + e.value + overhead
		t.head = (t.head + 1) % len(t.entries)
		t.n--
	}
	if t.n == 0 {
		t.buf = t.buf[:0]
	}
}

// at gives the i-th entry, 0 being the newest, as it lies in the table.
func (t *table) at(i uint64) (name, value []byte, ok bool) {
	if i >= uint64(t.n) {
		return nil, nil, false
	}
	e := &t.entries[(t.head+t.n-1-int(i))%len(t.entries)]
	v := e.off + e.name
	return t.buf[e.off:v:v], t.buf[v : v+e.value : v+e.value], true
}

// add puts a field in. Neither slice may lie in the table.
func (t *table) add(name, value []byte) {
	need := uint64(len(name)) + uint64(len(value)) + overhead
	if need > uint64(t.max) {
		t.shrink(0)
		return
	}
	t.shrink(t.max - uint32(need))
	if len(t.buf)+len(name)+len(value) > 2*int(t.max) {
		t.compact()
	}
	if t.n == len(t.entries) {
		t.grow()
	}
	t.entries[(t.head+t.n)%len(t.entries)] = entry{uint32(len(t.buf)), uint32(len(name)), uint32(len(value))}
	t.n++
	t.size += uint32(need)
	t.buf = append(append(t.buf, name...), value...)
}

// compact moves the entries to the front of the block.
func (t *table) compact() {
	if t.n == 0 {
		t.buf = t.buf[:0]
		return
	}
	from := t.entries[t.head].off
	t.buf = t.buf[:copy(t.buf, t.buf[from:])]
	for i := range t.n {
		t.entries[(t.head+i)%len(t.entries)].off -= from
	}
}

func (t *table) grow() {
	next := make([]entry, max(2*len(t.entries), 16))
	for i := range t.n {
		next[i] = t.entries[(t.head+i)%len(t.entries)]
	}
	t.entries, t.head = next, 0
}
