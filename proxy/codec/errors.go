package codec

import (
	"errors"
	"fmt"
)

// A ProtocolError is a message that breaks a rule. A request is answered with
// Status and the connection closed, or its stream reset; a response is answered
// 502 to the client.
type ProtocolError struct {
	Status int    // what to answer a request with
	Detail string // response code detail, constant, in Envoy's style
	Rule   string // the rule that was broken and where it stands
}

// Error implements error.
func (e *ProtocolError) Error() string { return fmt.Sprintf("%s (%s)", e.Rule, e.Detail) }

// ErrUnexpectedEOF says that a connection ended inside a message.
var ErrUnexpectedEOF = &ProtocolError{400, "http1.unexpected_eof", "connection ended inside a message (RFC 9112 §8)"}

// A ResetError is an HTTP/2 stream that ended before its messages did.
type ResetError struct {
	Code uint32 // RFC 9113 §7
	// Remote says that the peer reset it; else we did, or the connection broke.
	Remote bool
	// Unprocessed says that the peer has not looked at the request and never will
	// (REFUSED_STREAM, or above the last stream of a GOAWAY): it may be sent again
	// whatever its method (RFC 9113 §8.7).
	Unprocessed bool
	Reason      string // in Envoy's words: "remote_reset", "remote_refused_stream_reset", "connection_termination" …
}

// Error implements error.
func (e *ResetError) Error() string {
	by := "reset"
	if e.Remote {
		by = "reset by the peer"
	}
	return fmt.Sprintf("HTTP/2 stream %s: %s (error code %d)", by, e.Reason, e.Code)
}

// Timeout tells whether an error of a codec is a deadline that passed.
func Timeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
