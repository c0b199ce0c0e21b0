// Package buffer has the read and write buffer of a connection: memory is taken
// from a pool when bytes come and goes back when they are consumed, so that an
// idle connection holds none.
package buffer

import "sync"

// Block is the size of a pooled block in bytes: most heads with a small body fit
// in one, and a read of that size is a single page-order-2 copy in the kernel.
const Block = 16 << 10

// Large is the size of the blocks bodies are moved with.
const Large = 128 << 10

// blocks and larges are the two pools; a pool is not state anyone can observe.
var (
	blocks = sync.Pool{New: func() any { b := make([]byte, Block); return &b }}
	larges = sync.Pool{New: func() any { b := make([]byte, Large); return &b }}
)

// GetLarge takes a block of Large bytes from the pool; PutLarge gives it back.
func GetLarge() *[]byte { return larges.Get().(*[]byte) }

// PutLarge gives back what GetLarge took.
func PutLarge(b *[]byte) { larges.Put(b) }

// A Buf is a queue of bytes: appended at the end, consumed at the front. The
// zero value is empty and holds no memory. It has one owner at a time.
type Buf struct {
	block *[]byte // the pooled block data lies in; nil when data is nil or was grown
	data  []byte  // len is what was written, cap what there is
	off   int     // what was consumed
}

// Bytes gives what is unread; valid until the next call that adds or releases.
func (b *Buf) Bytes() []byte { return b.data[b.off:] }

// Len is the number of unread bytes.
func (b *Buf) Len() int { return len(b.data) - b.off }

// Consume drops n bytes from the front. The memory stays until Release, so that
// slices got from Bytes remain readable until the next Space or Append.
func (b *Buf) Consume(n int) {
	b.off += n
	if b.off > len(b.data) {
		panic("buffer: consumed more than there is")
	}
}

// Space gives at least min free bytes to read into; Commit tells how many were
// written. Unread bytes move to the front when that makes the room.
func (b *Buf) Space(min int) []byte {
	if b.data == nil {
		b.take(min)
	}
	if b.off == len(b.data) {
		b.data, b.off = b.data[:0], 0
	}
	if cap(b.data)-len(b.data) < min {
		b.makeRoom(min)
	}
	return b.data[len(b.data):cap(b.data)]
}

// Commit makes n bytes written to Space part of the buffer.
func (b *Buf) Commit(n int) { b.data = b.data[:len(b.data)+n] }

// Append adds bytes at the end.
func (b *Buf) Append(p []byte) {
	copy(b.Space(len(p)), p)
	b.Commit(len(p))
}

// Tail gives the whole buffer for a serialiser that appends; SetTail takes it
// back. Nothing may be consumed in between.
func (b *Buf) Tail() []byte {
	if b.data == nil {
		b.take(1)
	}
	return b.data
}

// SetTail stores what a serialiser made of Tail.
func (b *Buf) SetTail(p []byte) {
	if cap(p) != cap(b.data) {
		b.putBack()
	}
	b.data = p
}

// Release gives the memory back if nothing is unread; it tells whether it did.
func (b *Buf) Release() bool {
	if b.Len() > 0 {
		return false
	}
	b.Discard()
	return true
}

// Discard drops everything and gives the memory back.
func (b *Buf) Discard() {
	b.putBack()
	b.data, b.off = nil, 0
}

// Holds tells whether the buffer holds memory.
func (b *Buf) Holds() bool { return b.data != nil }

func (b *Buf) take(min int) {
	if min > Block {
		b.data = make([]byte, 0, min)
		return
	}
	b.block = blocks.Get().(*[]byte)
	b.data = (*b.block)[:0]
}

func (b *Buf) putBack() {
	if b.block != nil {
		blocks.Put(b.block)
		b.block = nil
	}
}

// makeRoom moves unread bytes to the front, or to a larger slice.
func (b *Buf) makeRoom(min int) {
	n := b.Len()
	if cap(b.data)-n >= min {
		copy(b.data[:n], b.data[b.off:])
		b.data, b.off = b.data[:n], 0
		return
	}
	size := max(2*cap(b.data), Block)
	for size < n+min {
		size *= 2
	}
	grown := make([]byte, n, size)
	copy(grown, b.data[b.off:])
	b.putBack()
	b.data, b.off = grown, 0
}
