package h1

import (
	"strconv"

	"github.com/weirproxy/weir/proxy/header"
)

// appendFields writes every field but pseudo-headers; :authority is written as
// Host at its place, under the name it came with.
func appendFields(b []byte, h *header.Headers) []byte {
	for i := range h.Len() {
		name, value := h.At(i)
		if name[0] == ':' {
			if h.IDAt(i) != header.IDAuthority {
				continue
			}
			name = hostName
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, "\r\n"...)
	}
	return b
}

var hostName = []byte("host")

// appendRequestLine writes the request line of an origin-form request, or of
// CONNECT.
func appendRequestLine(b []byte, method, target []byte) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, target...)
	return append(b, " HTTP/1.1\r\n"...)
}

// appendStatusLine writes the status line with the registered reason phrase. The
// version is always ours, 1.1 (RFC 9112 §2.3), also to a 1.0 client.
func appendStatusLine(b []byte, status []byte) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, status...)
	b = append(b, ' ')
	b = append(b, reason(status)...)
	return append(b, "\r\n"...)
}

// appendChunkHead writes the size line of a chunk of n bytes.
func appendChunkHead(b []byte, n int) []byte {
	b = strconv.AppendUint(b, uint64(n), 16)
	return append(b, "\r\n"...)
}

// appendLastChunk ends a chunked body, with trailers if there are any.
func appendLastChunk(b []byte, trailers *header.Headers) []byte {
	b = append(b, "0\r\n"...)
	if trailers != nil {
		b = appendFields(b, trailers)
	}
	return append(b, "\r\n"...)
}

// reason gives the reason phrase of a status (RFC 9110 §15).
func reason(status []byte) string {
	if len(status) == 3 {
		n := int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
		if n == 200 {
			return "OK"
		}
		if 0 <= n && n < len(reasons) {
			return reasons[n]
		}
	}
	return ""
}

// reasons is indexed by status.
var reasons = [600]string{
	100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
	200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
	205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
	305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
	409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Payload Too Large",
	414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
	421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked", 424: "Failed Dependency", 425: "Too Early",
	426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
	431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
	507: "Insufficient Storage", 508: "Loop Detected", 510: "Not Extended", 511: "Network Authentication Required",
}
