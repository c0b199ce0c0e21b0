// Package fields is HTTP fields as HTTP/2 carries them: field blocks (HPACK, RFC
// 7541) to header.Headers and back, with every rule of RFC 9113 §8 about what they
// may say.
//
// A Headers looks the same whichever codec made it: host and :authority are one
// field, pseudo-headers are fields among the others.
package fields

import (
	"errors"
	"unsafe"

	"github.com/weirproxy/weir/proxy/codec"
)

// Limits bound a field section.
type Limits struct {
	MaxListSize uint32 // bytes of names and values and 32 for each field (RFC 9113 §6.5.2)
	MaxCount    int    // fields; 0 is no bound
	Underscores Underscores
}

// Underscores is what happens to field names with "_" (Envoy:
// headers_with_underscores_action).
type Underscores uint8

// The actions.
const (
	AllowUnderscores Underscores = iota
	RejectUnderscores
	DropUnderscores
)

// A Message is what is to be known of a head besides its fields.
type Message struct {
	Head          bool  // the method is HEAD
	Connect       bool  // the method is CONNECT
	Protocol      bool  // … with :protocol (RFC 8441)
	Expect        bool  // Expect: 100-continue
	ContentLength int64 // -1: none
	Code          int   // responses: the status
	Size          int   // bytes of names and values
	Fields        int   // how many there were
	Dropped       int   // of these, by DropUnderscores
}

// ErrCompression says that a block cannot be decoded: the connection's table is
// lost with it (RFC 9113 §4.3).
var ErrCompression = errors.New("field block cannot be decompressed (RFC 9113 §4.3)")

func rule(detail, rule string) *codec.ProtocolError {
	return &codec.ProtocolError{Status: 400, Detail: detail, Rule: rule}
}

const (
	invalidField = "http2.invalid.header.field"
	messaging    = "http2.violation.of.messaging.rule"
)

// The rules a field section can break.
var (
	ErrName          = rule(invalidField, "field name is not a token in lower case (RFC 9113 §8.2.1)")
	ErrValue         = rule(invalidField, "field value has control bytes, or white space at an end (RFC 9113 §8.2.1)")
	ErrPseudo        = rule(messaging, "unknown pseudo-header (RFC 9113 §8.3)")
	ErrPseudoLate    = rule(messaging, "pseudo-header after a field (RFC 9113 §8.3)")
	ErrPseudoTwice   = rule(messaging, "repeated pseudo-header (RFC 9113 §8.3)")
	ErrPseudoMissing = rule(messaging, "missing pseudo-header (RFC 9113 §8.3)")
	ErrPseudoTrailer = rule(messaging, "pseudo-header in trailers (RFC 9113 §8.1)")
	ErrMethod        = rule("http2.invalid_method", "method is not a token (RFC 9110 §9.1)")
	ErrScheme        = rule("http2.invalid_scheme", "scheme is malformed (RFC 3986 §3.1)")
	ErrPath          = rule("http2.invalid_url", "path is empty, or not one (RFC 9113 §8.3.1)")
	ErrHost          = rule("http.invalid_authority", "authority is not host[:port], or has userinfo (RFC 9113 §8.3.1)")
	ErrHostMissing   = rule("missing_host_header", "neither :authority nor Host (RFC 9113 §8.3.1)")
	ErrHostDiffers   = rule(messaging, "Host differs from :authority, or is repeated (RFC 9113 §8.3.1)")
	ErrConnect       = rule(messaging, "CONNECT with scheme or path, or without authority (RFC 9113 §8.5)")
	ErrProtocol      = rule(messaging, ":protocol without CONNECT (RFC 8441 §4)")
	ErrHop           = rule(messaging, "field that concerns one connection (RFC 9113 §8.2.2)")
	ErrTE            = rule(messaging, "te other than trailers (RFC 9113 §8.2.2)")
	ErrLength        = rule(messaging, "content-length is not one number (RFC 9110 §8.6)")
	ErrStatus        = rule("http2.invalid_status", "status is not three digits, or 101 (RFC 9113 §8.3.2, §8.6)")
	ErrTrailer       = rule(messaging, "trailer field that frames or routes a message (RFC 9110 §6.5.1)")
	ErrExpect        = &codec.ProtocolError{Status: 417, Detail: "http2.unknown_expectation", Rule: "expectation other than 100-continue (RFC 9110 §10.1.1)"}
	ErrUnderscore    = rule("http2.unexpected_underscore", "field name with an underscore (Envoy: headers_with_underscores_action)")
	ErrSize          = &codec.ProtocolError{Status: 431, Detail: "http2.headers_too_large", Rule: "field section is larger than allowed (Envoy: max_request_headers_kb)"}
	ErrCount         = &codec.ProtocolError{Status: 431, Detail: "http2.too_many_headers", Rule: "more fields than allowed (Envoy: max_headers_count)"}
)

// stringOf sees bytes as a string, which must not be kept.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
