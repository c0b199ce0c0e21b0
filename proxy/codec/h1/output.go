package h1

import (
	"io"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// output collects what goes to the wire, so that a head and a body that is at
// hand leave in one system call.
type output struct {
	io   *netio.Timed
	idle time.Duration // the longest a peer may take nothing; 0 for ever
	buf  buffer.Buf

	framing BodyKind // of the message being written
	left    int64    // of a Length body
	dead    error    // the first write error
	sent    uint64   // bytes handed to the system
}

// join is the largest piece of body, in bytes, that is copied behind what is
// waiting rather than written from where it lies.
const join = 8 << 10

// body writes a piece of the body in the message's framing.
func (o *output) body(p []byte, end bool, trailers *header.Headers) error {
	if o.dead != nil {
		return o.dead
	}
	switch o.framing {
	case NoBody:
		return nil // HEAD, 204, 304: there is no body to send
	case Chunked:
		if len(p) > 0 {
			o.buf.SetTail(appendChunkHead(o.buf.Tail(), len(p)))
			if err := o.bytes(p); err != nil {
				return err
			}
			o.buf.Append(crlf)
		}
		if end {
			o.buf.SetTail(appendLastChunk(o.buf.Tail(), trailers))
		}
		return nil
	case Length:
		if int64(len(p)) > o.left {
			p = p[:o.left] // never more than was promised
		}
		o.left -= int64(len(p))
		if end && o.left > 0 {
			o.dead = errShortBody
			return o.dead
		}
	}
	return o.bytes(p)
}

// bytes queues a small piece and writes a large one together with what waits.
func (o *output) bytes(p []byte) error {
	if len(p) <= join {
		if o.buf.Len()+len(p) > buffer.Block {
			if err := o.flush(); err != nil {
				return err
			}
		}
		o.buf.Append(p)
		return nil
	}
	return o.write(p)
}

func (o *output) flush() error {
	if o.buf.Len() == 0 {
		return o.dead
	}
	return o.write(nil)
}

// exchange sends what waits and reads the first bytes of the answer into b. A
// failure to send is remembered and not returned: an answer may have come before
// it, which the caller reads.
func (o *output) exchange(b *buffer.Buf, until time.Time) (n int, err error) {
	p := o.buf.Bytes()
	sent, n, err := o.io.Exchange(p, b, o.idle, until)
	o.sent += uint64(sent)
	o.buf.Consume(o.buf.Len())
	o.buf.Release()
	if sent < len(p) {
		if o.dead = err; o.dead == nil {
			o.dead = io.ErrShortWrite
		}
		return o.io.ReadBuf(b, until)
	}
	return n, err
}

// write sends what waits and then p.
func (o *output) write(p []byte) error {
	if o.dead != nil {
		return o.dead
	}
	if err := o.io.GuardWrites(o.idle); err != nil {
		o.dead = err
		return err
	}
	n, err := o.io.Writev(o.buf.Bytes(), p, o.idle)
	o.sent += uint64(n)
	o.buf.Consume(o.buf.Len())
	o.buf.Release()
	o.dead = err
	return err
}
