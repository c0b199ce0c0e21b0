package stream

import (
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// Codec is the downstream half of a wire codec, as one stream sees it. Errors
// end the stream.
type Codec interface {
	// ReadBody gives the next piece of the request body, valid until the next
	// call; end says it is the last, and trailers, if any, are then in the stream.
	// It waits until the deadline given by SetReadDeadline.
	ReadBody() (p []byte, end bool, err error)
	// SetReadDeadline bounds ReadBody; zero is no bound.
	SetReadDeadline(t time.Time)
	// WriteInformational sends a 1xx head at once.
	WriteInformational(h *header.Headers) error
	// WriteHeaders puts the response head into the output; it is sent by Flush or
	// with the body.
	WriteHeaders(h *header.Headers, end bool) error
	// WriteBody sends a piece of the body; an empty piece with end only ends it.
	WriteBody(p []byte, end bool) error
	// WriteTrailers ends the body with trailers.
	WriteTrailers(h *header.Headers) error
	// Flush sends what is in the output.
	Flush() error
	// SpliceBody moves n body bytes from a socket and tells how many went through;
	// ok is false when this codec cannot, and nothing was moved. It ends when
	// nothing moves for idle, or at the deadline; zero is no bound.
	SpliceBody(from *netio.Timed, n int64, idle time.Duration, deadline time.Time) (moved int64, ok bool, err error)
	// Interrupt makes a ReadBody under way on another goroutine fail before its
	// deadline, and those that follow, until Resume. No byte is lost.
	Interrupt()
	// Resume lets ReadBody wait again.
	Resume()
	// Gone tells, without waiting, whether the client has left.
	Gone() bool
	// Upgrade turns the stream into two byte streams after a 101 (or a 2xx to
	// CONNECT): from then on bytes are not HTTP's.
	Upgrade() (netio.Conn, []byte)
}
