package h2

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/stats"
)

var (
	// ErrDrained says that the connection was asked to drain and has.
	ErrDrained = errors.New("connection drained")
	// ErrIdle says that the connection had no streams for the idle timeout.
	ErrIdle = fmt.Errorf("connection idle: %w", os.ErrDeadlineExceeded)
	// ErrMaxAge says that the connection had its longest life.
	ErrMaxAge = fmt.Errorf("connection reached its maximum age: %w", os.ErrDeadlineExceeded)
	// ErrNoCapacity says that as many streams are open as there may be.
	ErrNoCapacity = errors.New("no stream may be opened now")
	// ErrGoingAway says that the connection takes no further streams.
	ErrGoingAway = errors.New("connection takes no further streams")
	// ErrKeepalive says that a PING stayed unanswered.
	ErrKeepalive = errors.New("no answer to a keepalive ping")

	errInterrupted = errors.New("interrupted")
	errStopped     = errors.New("writing was stopped")
	errFinished    = errors.New("stream is finished")
	errReleased    = errors.New("exchange was released")
)

// A ConnError ends a connection with GOAWAY (RFC 9113 §5.4.1).
type ConnError struct {
	Code   http2.ErrCode
	Reason string // what the GOAWAY says, and the guard or rule
	Remote bool   // the peer said so

	count *stats.Counter
}

// Error implements error.
func (e *ConnError) Error() string {
	by := ""
	if e.Remote {
		by = " by the peer"
	}
	return fmt.Sprintf("HTTP/2 connection ended%s: %s (%s)", by, e.Reason, e.Code)
}

func connError(code http2.ErrCode, reason string) error {
	return &ConnError{Code: code, Reason: reason}
}

// flood is the end of a connection by a guard, which has a counter.
func flood(n *stats.Counter, reason string) error {
	return &ConnError{Code: http2.ErrCodeEnhanceYourCalm, Reason: reason, count: n}
}

// streamError resets a stream of which the peer broke a rule (RFC 9113 §5.4.2).
type streamError struct {
	id   uint32
	code http2.ErrCode
	why  *codec.ProtocolError // what the stream's user is told
}

// Error implements error.
func (e *streamError) Error() string {
	return fmt.Sprintf("HTTP/2 stream %d: %s (%s)", e.id, e.why.Rule, e.code)
}

// The rules of streams that a peer may break; the user of the stream gets them.
var (
	errStreamClosed  = &codec.ProtocolError{Status: 400, Detail: "http2.stream_closed", Rule: "frame on a half-closed stream (RFC 9113 §5.1)"}
	errSelfDepends   = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "stream that depends on itself (RFC 7540 §5.3.1)"}
	errZeroIncrement = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "window update of zero (RFC 9113 §6.9)"}
	errWindow        = &codec.ProtocolError{Status: 400, Detail: "http2.flow_control_error", Rule: "flow-control window exceeded (RFC 9113 §6.9.1)"}
	errWindowTooBig  = &codec.ProtocolError{Status: 400, Detail: "http2.flow_control_error", Rule: "flow-control window above 2^31-1 (RFC 9113 §6.9.1)"}
	errMidTrailers   = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "second field section that does not end the stream (RFC 9113 §8.1)"}
	errLength        = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "body that differs from content-length (RFC 9113 §8.1.1)"}
	errNoHead        = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "DATA before a final response head (RFC 9113 §8.1)"}
	errInterim       = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "1xx response that ends the stream (RFC 9113 §8.1)"}
	errManyInterim   = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "more 1xx responses than are kept"}
)

// Envoy's words for how a stream ended.
const (
	reasonRemote         = "remote_reset"
	reasonRemoteRefused  = "remote_refused_stream_reset"
	reasonConnectError   = "remote_connection_failure"
	reasonTermination    = "connection_termination"
	reasonProtocol       = "protocol_error"
	reasonLocal          = "local_reset"
	reasonConnectReset   = "connect_error"
	reasonNotOpenAnymore = "connection_going_away"
)
