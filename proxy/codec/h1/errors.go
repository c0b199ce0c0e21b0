package h1

import "github.com/weirproxy/weir/proxy/codec"

// A ProtocolError is a message that breaks a rule.
type ProtocolError = codec.ProtocolError

func bad(detail, rule string) *ProtocolError {
	return &ProtocolError{Status: 400, Detail: detail, Rule: rule}
}

// Reason is what a refused request is answered with: the reason phrase, as Envoy
// does.
func Reason(status int) string { return reasons[status] }

// The rules a message can break; each is one value, so that they can be counted
// and compared.
var (
	ErrStartLine      = bad("http1.invalid_request_line", "request line is not method SP target SP version (RFC 9112 §3)")
	ErrMethod         = bad("http1.invalid_method", "method is not a token (RFC 9110 §9.1)")
	ErrTarget         = bad("http1.invalid_url", "request target has invalid bytes (RFC 9112 §3.2)")
	ErrVersion        = &ProtocolError{Status: 505, Detail: "http1.unsupported_version", Rule: "version is not HTTP/1.0 or HTTP/1.1 (RFC 9112 §2.3)"}
	ErrHTTP10         = &ProtocolError{Status: 426, Detail: "low_version", Rule: "HTTP/1.0 is not accepted here (Envoy: accept_http_10)"}
	ErrBareLF         = bad("http1.bare_lf", "line ends with LF alone (RFC 9112 §2.2)")
	ErrBareCR         = bad("http1.bare_cr", "CR not followed by LF (RFC 9112 §2.2)")
	ErrObsFold        = bad("http1.obs_fold", "folded field line (RFC 9112 §5.2)")
	ErrFieldName      = bad("http1.invalid_header_name", "field name is not a token, or white space stands before the colon (RFC 9112 §5.1)")
	ErrFieldValue     = bad("http1.invalid_header_value", "field value has control bytes (RFC 9110 §5.5)")
	ErrHostMissing    = bad("missing_host_header", "no Host in an HTTP/1.1 request (RFC 9112 §3.2)")
	ErrHostRepeated   = bad("http1.repeated_host", "more than one Host (RFC 9112 §3.2)")
	ErrHost           = bad("http.invalid_authority", "Host or target authority is not host[:port], or has userinfo (RFC 9110 §4.2.4, §7.2)")
	ErrLength         = bad("http1.invalid_content_length", "Content-Length is not one number (RFC 9112 §6.3)")
	ErrLengths        = bad("http1.differing_content_lengths", "Content-Lengths differ (RFC 9112 §6.3)")
	ErrLengthAndTE    = bad("http1.content_length_and_transfer_encoding", "both Content-Length and Transfer-Encoding (RFC 9112 §6.1)")
	ErrTE             = bad("http1.invalid_transfer_encoding", "Transfer-Encoding does not end in one chunked (RFC 9112 §6.3)")
	ErrTECoding       = &ProtocolError{Status: 501, Detail: "http1.unsupported_transfer_encoding", Rule: "transfer coding other than chunked (RFC 9112 §6.1)"}
	ErrTEIn10         = bad("http1.transfer_encoding_in_http10", "Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)")
	ErrExpect         = &ProtocolError{Status: 417, Detail: "http1.unknown_expectation", Rule: "expectation other than 100-continue (RFC 9110 §10.1.1)"}
	ErrHeadSize       = &ProtocolError{Status: 431, Detail: "http1.headers_too_large", Rule: "head is larger than allowed (Envoy: max_request_headers_kb)"}
	ErrFieldCount     = &ProtocolError{Status: 431, Detail: "http1.too_many_headers", Rule: "more fields than allowed (Envoy: max_headers_count)"}
	ErrTargetSize     = &ProtocolError{Status: 414, Detail: "http1.url_too_long", Rule: "request target is longer than allowed"}
	ErrChunkSize      = bad("http1.invalid_chunk_size", "chunk size is not hexadecimal, or too large (RFC 9112 §7.1)")
	ErrChunkExt       = bad("http1.invalid_chunk_extension", "chunk extension is malformed or too long (RFC 9112 §7.1.1)")
	ErrChunkEnd       = bad("http1.invalid_chunk_end", "chunk does not end with CRLF (RFC 9112 §7.1)")
	ErrTrailer        = bad("http1.invalid_trailer", "trailer field that frames or routes a message (RFC 9110 §6.5.1)")
	ErrConnectTarget  = bad("http1.invalid_connect_target", "CONNECT target is not host:port (RFC 9112 §3.2.3)")
	ErrStatusLine     = bad("http1.invalid_status_line", "status line is malformed (RFC 9112 §4)")
	ErrUnderscore     = bad("http1.unexpected_underscore", "field name with an underscore (Envoy: headers_with_underscores_action)")
	ErrConnectionHop  = bad("http1.connection_names_framing_field", "Connection names a field that frames or routes the message (RFC 9110 §7.6.1)")
	ErrUnexpectedEOF  = codec.ErrUnexpectedEOF
	ErrConnectContent = bad("http1.connect_with_content", "CONNECT with a body (RFC 9110 §9.3.6)")
)
