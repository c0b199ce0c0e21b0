package h1

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// ClientOptions are what a Client needs beyond its connection.
type ClientOptions struct {
	Limits
	WriteIdle time.Duration // the longest the server may take nothing of a request; 0 for ever
	Tick      time.Duration // how often Wake is called while a response is awaited; 0 never
}

var _ codec.Exchange = (*Client)(nil)

// A Client is the upstream half of a connection: it writes a request and reads
// its response, then the next. Writing and reading may be done by two goroutines
// at once.
type Client struct {
	c      netio.Conn
	limits Limits

	// owned by the goroutine that writes
	out     output
	sentEnd bool

	// owned by the goroutine that reads
	in      netio.Timed
	buf     buffer.Buf
	scan    scanner
	body    bodyReader
	pending int
	large   *[]byte
	msg     Message
	until   time.Time
	gotHead bool // any byte of the response has come
	gotEnd  bool
	rerr    error

	head, connect bool // what the request was
	sentBefore    uint64
	wake          func() error
	apart         bool        // another goroutine writes the rest of the request
	stopped       atomic.Bool // by StopWriting: the connection has no way out any more
}

// NewClient makes the client half of a connection.
func NewClient(c netio.Conn, o ClientOptions) *Client {
	k := &Client{c: c, limits: o.Limits.WithDefaults()}
	k.in = netio.Timed{C: c, Tick: o.Tick, Wake: k.tick}
	k.out = output{io: &k.in, idle: o.WriteIdle}
	k.sentEnd, k.gotEnd = true, true
	return k
}

func (k *Client) tick() error {
	if k.wake != nil {
		return k.wake()
	}
	return nil
}

// Begin readies the connection for a new exchange; wake, which may be nil, is
// called now and then while the response is awaited and its error ends the wait.
func (k *Client) Begin(wake func() error) {
	k.sentEnd, k.gotEnd, k.gotHead = false, false, false
	k.sentBefore = k.out.sent
	k.wake = wake
	k.apart = false
	k.until = time.Time{}
}

// SetReadDeadline bounds the reads that follow; zero is no bound.
func (k *Client) SetReadDeadline(t time.Time) { k.until = t }

// Conn gives the connection.
func (k *Client) Conn() netio.Conn { return k.c }

// WriteHeaders puts a request head into the output; end says that no body
// follows. Hop-by-hop fields have been removed by the codec that read them.
func (k *Client) WriteHeaders(h *header.Headers, end bool) error {
	method, target := h.Value(header.Method), h.Value(header.Path)
	k.head, k.connect = string(method) == "HEAD", string(method) == "CONNECT"
	if k.connect {
		target = h.Value(header.Authority)
	}
	b := appendRequestLine(k.out.buf.Tail(), method, target)
	b = appendFields(b, h)
	if h.Has(header.Upgrade) {
		b = append(b, "connection: Upgrade\r\n"...)
	}
	length, hasLength := h.Get(header.ContentLength)
	k.out.framing, k.out.left = NoBody, 0
	switch {
	case k.connect:
	case hasLength:
		k.out.framing = Length
		k.out.left, _ = grammar.ParseLength(length)
	case !end:
		b = append(b, "transfer-encoding: chunked\r\n"...)
		k.out.framing = Chunked
	}
	k.out.buf.SetTail(append(b, "\r\n"...))
	k.sentEnd = end
	if end && k.out.left > 0 {
		k.out.dead = errShortBody
	}
	return k.out.dead
}

// WriteBody sends a piece of the request body.
func (k *Client) WriteBody(p []byte, end bool) error {
	k.sentEnd = end
	return k.out.body(p, end, nil)
}

// WriteTrailers ends the request body with trailers.
func (k *Client) WriteTrailers(h *header.Headers) error {
	k.sentEnd = true
	return k.out.body(nil, true, h)
}

// Flush sends what is in the output.
func (k *Client) Flush() error { return k.out.flush() }

// WriteApart says that the request's head has left and another goroutine, not yet
// started, writes its body.
func (k *Client) WriteApart() { k.apart = true }

// Sent tells whether any byte of the current request has left us.
func (k *Client) Sent() bool { return k.apart || k.out.sent > k.sentBefore }

// Started tells whether any byte of the current response has come.
func (k *Client) Started() bool { return k.gotHead }

// StopWriting implements codec.Exchange: it ends our direction, so that a write
// that waits for room fails, and the connection carries no other exchange.
func (k *Client) StopWriting() {
	k.stopped.Store(true)
	_ = k.c.CloseWrite()
	_ = k.c.SetWriteDeadline(time.Unix(1, 0))
}

// WakeReader implements codec.Exchange.
func (k *Client) WakeReader() { _ = k.c.SetReadDeadline(time.Unix(1, 0)) }

// ReadHeaders sends what is in the output, if the request is complete, and waits
// for a response head and parses it into h, which it empties first: a final one, or
// a 1xx that precedes it.
func (k *Client) ReadHeaders(h *header.Headers) (code int, err error) {
	h.Reset()
	k.rerr = nil // a wait that was woken may be taken up again
	for {
		n, err := k.scan.next(k.buf.Bytes(), k.limits.MaxHead)
		if err != nil {
			return 0, k.fail(err)
		}
		if n > 0 {
			err := parseResponse(k.buf.Bytes()[:n], h, &k.msg, &k.limits, k.head, k.connect)
			k.buf.Consume(n)
			if err != nil {
				return 0, k.fail(err)
			}
			return k.msg.Code, nil
		}
		if err := k.fill(); err != nil {
			return 0, err
		}
	}
}

// StartBody readies the reading of the body of the final response whose head was
// read last; trailers will be put into t. It tells whether there is none.
func (k *Client) StartBody(t *header.Headers) (end bool) {
	k.body.start(&k.msg, t, &k.limits)
	if k.body.over() {
		k.finish()
		return true
	}
	return false
}

// ReadBody gives the next piece of the response body, valid until the next call.
func (k *Client) ReadBody() (p []byte, end bool, err error) {
	k.consume()
	k.rerr = nil
	for {
		p, n, end, err := k.body.next(k.buf.Bytes())
		if err != nil {
			return nil, false, k.fail(err)
		}
		if len(p) > 0 || end {
			k.pending = n
			if end {
				k.finish()
			}
			return p, end, nil
		}
		k.buf.Consume(n)
		if k.body.kind == UntilClose || k.body.kind == Length && k.body.left > buffer.Block {
			return k.readLarge()
		}
		k.buf.Release()
		if err := k.fill(); err != nil {
			return nil, false, err
		}
	}
}

// Waits tells whether the next ReadBody would have to wait for the server.
func (k *Client) Waits() bool { return k.buf.Len() <= k.pending }

// Remaining is how many body bytes are still to come of a body of known length
// of which nothing is buffered; 0 otherwise. They may be spliced.
func (k *Client) Remaining() int64 {
	if k.body.kind != Length || !k.Waits() {
		return 0
	}
	return k.body.left
}

// Source gives the connection's reading side, for a splice of Remaining bytes.
func (k *Client) Source() *netio.Timed { return &k.in }

// Spliced accounts for n body bytes that were moved past this codec.
func (k *Client) Spliced(n int64) (end bool) {
	k.consume()
	for n > 0 {
		m := min(n, 1<<30)
		k.body.took(int(m))
		n -= m
	}
	if k.body.over() {
		k.finish()
	}
	return k.body.over()
}

func (k *Client) readLarge() ([]byte, bool, error) {
	k.buf.Release()
	if k.large == nil {
		k.large = buffer.GetLarge()
	}
	b := *k.large
	if k.body.kind == Length && int64(len(b)) > k.body.left {
		b = b[:k.body.left]
	}
	n, err := k.in.Read(b, k.until)
	if err != nil {
		if err == io.EOF && k.body.kind == UntilClose {
			k.body.state = bodyOver
			k.finish()
			return nil, true, nil
		}
		return nil, false, k.fail(err)
	}
	if k.body.kind == Length {
		k.body.took(n)
		if k.body.over() {
			k.finish()
			// The block stays until the next exchange: p is in it.
			return b[:n], true, nil
		}
	}
	return b[:n], false, nil
}

// finish notes that the whole response is in.
func (k *Client) finish() { k.gotEnd = true }

func (k *Client) consume() {
	k.buf.Consume(k.pending)
	k.pending = 0
}

func (k *Client) fill() error {
	var n int
	var err error
	if !k.apart && k.sentEnd && k.out.buf.Len() > 0 {
		n, err = k.out.exchange(&k.buf, k.until)
	} else {
		n, err = k.in.ReadBuf(&k.buf, k.until)
	}
	if n > 0 {
		k.gotHead = true
	}
	if err != nil {
		return k.fail(err)
	}
	return nil
}

func (k *Client) fail(err error) error {
	if err == io.EOF && k.gotHead {
		err = ErrUnexpectedEOF
	}
	k.rerr = err
	return err
}

// Settle gives back what the exchange held; the last pieces that ReadBody gave
// are then invalid. It tells whether the connection can carry another exchange:
// both messages are whole, nothing came after the response, and neither side
// wants to close.
func (k *Client) Settle() (reusable bool) {
	k.consume()
	if k.large != nil {
		buffer.PutLarge(k.large)
		k.large = nil
	}
	k.wake = nil
	return k.Reusable()
}

// Reusable tells whether the connection can carry another exchange.
func (k *Client) Reusable() bool {
	return k.sentEnd && k.gotEnd && k.rerr == nil && !k.stopped.Load() && k.out.dead == nil && k.out.buf.Len() == 0 &&
		k.buf.Len() == k.pending && (k.msg.KeepAlive || k.msg.Code == 0) && k.msg.Code != 101 && !(k.connect && k.msg.Code/100 == 2)
}

// BytesOut is the number of bytes handed to the system on this connection.
func (k *Client) BytesOut() uint64 { return k.out.sent }

// Upgrade gives the connection as a byte stream after a 101 or a 2xx to CONNECT,
// and what has come of it already.
func (k *Client) Upgrade() (netio.Conn, []byte) {
	k.consume()
	return k.c, k.buf.Bytes()
}

// Close ends the connection; Abort does so with a reset.
func (k *Client) Close() error {
	k.drop()
	return k.c.Close()
}

// Abort ends the connection with a reset.
func (k *Client) Abort() error {
	k.drop()
	return k.c.Reset()
}

// drop gives back the reading half's memory. The writing half's may still be in
// the hands of a goroutine that writes; it goes with the Client.
func (k *Client) drop() {
	k.buf.Discard()
	k.pending = 0
	if k.large != nil {
		buffer.PutLarge(k.large)
		k.large = nil
	}
}
