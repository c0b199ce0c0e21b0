package h1

import (
	"time"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
)

// SetClose says that the connection ends after the current response.
func (s *Server) SetClose() { s.close = true }

// WriteInformational implements stream.Codec.
func (s *Server) WriteInformational(h *header.Headers) error {
	if s.msg.Version == info.HTTP10 {
		return nil // a 1.0 client cannot know of them (RFC 9110 §15.2)
	}
	status := h.Value(header.Status)
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(status) == "100" {
		s.expect = false
	}
	b := appendFields(appendStatusLine(s.out.buf.Tail(), status), h)
	s.out.buf.SetTail(append(b, "\r\n"...))
	return s.out.flush()
}

// WriteHeaders implements stream.Codec.
func (s *Server) WriteHeaders(h *header.Headers, end bool) error {
	if s.msg.Expect {
		s.ProxyContinue() // too late for a 100
	}
	status := h.Value(header.Status)
	if string(status) == "204" {
		h.Del(header.ContentLength) // RFC 9110 §8.6
	}
	b := appendFields(appendStatusLine(s.out.buf.Tail(), status), h)
	upgraded := len(status) == 3 && string(status) == "101" || s.msg.Connect && len(status) == 3 && status[0] == '2'
	length, hasLength := h.Get(header.ContentLength)
	s.out.framing, s.out.left = NoBody, 0
	switch {
	case upgraded:
		if !s.msg.Connect {
			b = append(b, "connection: Upgrade\r\n"...)
		}
		s.out.framing = UntilClose
	case s.msg.Head || string(status) == "204" || string(status) == "304":
	case hasLength:
		s.out.framing = Length
		s.out.left, _ = grammar.ParseLength(length)
	case end:
		b = append(b, "content-length: 0\r\n"...)
	case s.msg.Version == info.HTTP10:
		s.out.framing = UntilClose
		s.close = true
	default:
		b = append(b, "transfer-encoding: chunked\r\n"...)
		s.out.framing = Chunked
	}
	if !upgraded {
		switch {
		case s.close:
			b = append(b, "connection: close\r\n"...)
		case s.msg.Version == info.HTTP10:
			b = append(b, "connection: keep-alive\r\n"...)
		}
	}
	s.out.buf.SetTail(append(b, "\r\n"...))
	if end && s.out.framing == Length && s.out.left > 0 {
		s.out.dead = errShortBody
		return errShortBody
	}
	return nil
}

// WriteBody implements stream.Codec.
func (s *Server) WriteBody(p []byte, end bool) error { return s.out.body(p, end, nil) }

// WriteTrailers implements stream.Codec.
func (s *Server) WriteTrailers(h *header.Headers) error { return s.out.body(nil, true, h) }

// Flush implements stream.Codec.
func (s *Server) Flush() error { return s.out.flush() }

// SpliceBody implements stream.Codec: bytes of a response of known length go from
// socket to socket.
func (s *Server) SpliceBody(from *netio.Timed, n int64, idle time.Duration, until time.Time) (moved int64, ok bool, err error) {
	if s.c.Socket() == nil || from.C.Socket() == nil || s.out.framing != Length || n > s.out.left {
		return 0, false, nil
	}
	if err := s.out.flush(); err != nil {
		return 0, true, &netio.SpliceError{Write: true, Err: err}
	}
	moved, err = netio.Splice(&s.in, from, n, idle, until, nil)
	s.out.left -= moved
	s.out.sent += uint64(moved)
	return moved, true, err
}

// FinishRequest settles the connection after a response; it tells whether it can
// serve another request.
func (s *Server) FinishRequest() bool {
	s.dropLarge()
	if err := s.out.flush(); err != nil {
		return false
	}
	if s.out.framing == Length && s.out.left > 0 || s.out.framing == UntilClose {
		return false
	}
	return !s.close && s.body.over()
}
