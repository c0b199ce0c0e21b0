package h2

import "sync"

// The sizes of the pieces in which received bodies are kept: a short body takes a
// small one, so that a peer cannot make us hold much more than it sent.
const (
	smallChunk = 2 << 10
	largeChunk = 16 << 10
)

// chunk is a piece of a received body. Its consumer reads below w while the
// reading goroutine writes above.
type chunk struct {
	next *chunk
	r, w int
	b    []byte
}

var (
	smallChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, smallChunk)} }}
	largeChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, largeChunk)} }}
)

func newChunk(n int, first bool) *chunk {
	if first && n <= smallChunk {
		return smallChunks.Get().(*chunk)
	}
	return largeChunks.Get().(*chunk)
}

func (k *chunk) free() {
	k.next, k.r, k.w = nil, 0, 0
	if len(k.b) == smallChunk {
		smallChunks.Put(k)
	} else {
		largeChunks.Put(k)
	}
}

// queue is the received part of a body that was not consumed.
type queue struct {
	head, tail *chunk
	n          int
}

// add copies p to the end.
func (q *queue) add(p []byte) {
	q.n += len(p)
	for len(p) > 0 {
		if q.tail == nil || q.tail.w == len(q.tail.b) {
			k := newChunk(len(p), q.tail == nil)
			if q.tail == nil {
				q.head = k
			} else {
				q.tail.next = k
			}
			q.tail = k
		}
		k := copy(q.tail.b[q.tail.w:], p)
		q.tail.w += k
		p = p[k:]
	}
}

// front gives the first bytes; they stay valid until they are dropped.
func (q *queue) front() []byte {
	if q.n == 0 {
		return nil
	}
	return q.head.b[q.head.r:q.head.w]
}

// drop removes n bytes of front.
func (q *queue) drop(n int) {
	if n == 0 {
		return
	}
	q.n -= n
	k := q.head
	k.r += n
	if k.r < k.w {
		return
	}
	if q.head = k.next; q.head == nil {
		q.tail = nil
	}
	k.free()
}

// clear drops everything and tells how much there was.
func (q *queue) clear() int {
	n := q.n
	for k := q.head; k != nil; {
		next := k.next
		k.free()
		k = next
	}
	*q = queue{}
	return n
}
