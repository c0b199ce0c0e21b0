// Package grpc is what a proxy has to know of gRPC over HTTP/2: which messages are
// its, what their status is and what stands for it in HTTP, how long a call may
// take, where a message begins. It makes no calls.
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md is the protocol.
package grpc

import (
	"bytes"

	"github.com/weirproxy/weir/proxy/header"
)

// ContentType is the content type of gRPC without a message format.
const ContentType = "application/grpc"

// Is tells whether a request or a response is gRPC: its content type is
// application/grpc, alone or with a format after "+" (Envoy:
// Grpc::Common::hasGrpcContentType; application/grpc-web is another protocol).
func Is(h *header.Headers) bool {
	v, ok := h.Get(header.ContentType)
	return ok && len(v) >= len(ContentType) && string(v[:len(ContentType)]) == ContentType &&
		(len(v) == len(ContentType) || v[len(ContentType)] == '+')
}

// ServiceAndMethod takes a path apart; ok is false when it is not that of a call
// (Envoy: Grpc::Common::resolveServiceAndMethod).
func ServiceAndMethod(path []byte) (service, method []byte, ok bool) {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if len(path) == 0 || path[0] != '/' {
		return nil, nil, false
	}
	service, method, ok = bytes.Cut(path[1:], []byte("/"))
	return service, method, ok && len(service) > 0 && len(method) > 0 && bytes.IndexByte(method, '/') < 0
}

// AppendMessage appends a text as grpc-message carries it: percent-encoded but for
// printable ASCII (PROTOCOL-HTTP2.md, Status-Message; "~" too, as Envoy does).
func AppendMessage(dst []byte, text string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c >= 0x7e || c == '%' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// A Counter counts the messages of a body that comes in pieces. The zero Counter
// is at the beginning of a body.
type Counter struct {
	head [4]byte // of the message's length
	seen int     // bytes of the prefix that have come, its flag included
	left uint32  // bytes of the message still to come
}

// prefix is the number of bytes before each message: a flag and its length.
const prefix = 5

// Count takes the next piece and gives the number of messages that begin in it
// (Envoy: Grpc::FrameInspector).
func (c *Counter) Count(p []byte) (messages uint64) {
	for len(p) > 0 {
		if c.left > 0 {
			n := min(uint64(c.left), uint64(len(p)))
			c.left -= uint32(n)
			p = p[n:]
			continue
		}
		if c.seen == 0 {
			messages++
		} else {
			c.head[c.seen-1] = p[0]
		}
		p = p[1:]
		if c.seen++; c.seen == prefix {
			c.seen = 0
			c.left = uint32(c.head[0])<<24 | uint32(c.head[1])<<16 | uint32(c.head[2])<<8 | uint32(c.head[3])
		}
	}
	return messages
}
