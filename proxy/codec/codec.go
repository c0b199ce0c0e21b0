// Package codec is what the HTTP codecs have in common: the upstream half as the
// router sees it, and the errors they give. The downstream half is stream.Codec.
package codec

import (
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// An Exchange is the upstream half of a codec as one request sees it: it writes a
// request and reads its response. Writing and reading may be done by two
// goroutines at once; WakeReader and StopWriting may be called by any.
type Exchange interface {
	// Begin readies the exchange; wake, which may be nil, is called now and then
	// while the response is awaited, and its error ends the wait.
	Begin(wake func() error)
	// WriteHeaders puts the request head into the output; end says that no body
	// follows. Fields of one hop were removed by the codec that read them.
	WriteHeaders(h *header.Headers, end bool) error
	// WriteBody sends a piece of the body; an empty piece with end only ends it.
	WriteBody(p []byte, end bool) error
	// WriteTrailers ends the body with trailers.
	WriteTrailers(h *header.Headers) error
	// Flush sends what is in the output.
	Flush() error
	// WriteApart says that the head has left and another goroutine, not yet started,
	// writes the body.
	WriteApart()
	// StopWriting makes a write under way on another goroutine fail.
	StopWriting()
	// Sent tells whether any byte of the request has left us.
	Sent() bool

	// SetReadDeadline bounds the reads that follow; zero is no bound.
	SetReadDeadline(t time.Time)
	// WakeReader makes a read under way call wake at once.
	WakeReader()
	// ReadHeaders sends what is in the output, if the request is complete, and waits
	// for a response head, which it parses into h: a final one, or a 1xx before it.
	ReadHeaders(h *header.Headers) (code int, err error)
	// Started tells whether any byte of the response has come.
	Started() bool
	// StartBody readies the body of the final response whose head was read last;
	// trailers will be put into t. It tells whether there is none.
	StartBody(t *header.Headers) (end bool)
	// ReadBody gives the next piece of the response body, valid until the next call.
	ReadBody() (p []byte, end bool, err error)
	// Waits tells whether the next ReadBody would have to wait for the server.
	Waits() bool
	// Remaining is how many body bytes are still to come of a body whose bytes may be
	// spliced from Source and of which nothing is buffered; 0 otherwise.
	Remaining() int64
	// Source gives the connection's reading side, for a splice of Remaining bytes.
	Source() *netio.Timed
	// Spliced accounts for n body bytes that were moved past the codec.
	Spliced(n int64) (end bool)
	// Upgrade gives the exchange as two byte streams after a 101 or a 2xx to
	// CONNECT, and what has come already.
	Upgrade() (netio.Conn, []byte)
}
