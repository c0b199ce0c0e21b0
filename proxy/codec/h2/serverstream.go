package h2

import (
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stream"
)

var _ stream.Codec = (*ServerStream)(nil)

// A ServerStream is one request and its response. It is the handler's until
// ServeStream, or Refused, returns.
type ServerStream struct {
	// User is the handler's own, from one request to the next until Retire.
	User any

	s        half
	srv      *Server
	msg      fields.Message
	noBody   bool // the request ended with its head
	left     bool // Finish was called; its caller's own
	trailers *header.Headers

	// guarded by the connection's lock
	due100 bool // the client waits for a 100 that is ours to send
	code   http2.ErrCode
	coded  bool
}

var serverStreams = sync.Pool{New: func() any { return new(ServerStream) }}

func newServerStream() *ServerStream { return serverStreams.Get().(*ServerStream) }

// bind makes the stream that of a request that begins.
func (st *ServerStream) bind(srv *Server, id uint32) {
	st.srv = srv
	st.s.bind(&srv.core, nil)
	st.s.id = id
	st.due100, st.coded, st.left = true, false, false
}

// retire gives a stream back to the pool.
func (s *Server) retire(st *ServerStream) {
	s.h.Retire(st)
	st.User, st.srv, st.trailers = nil, nil, nil
	st.s.c, st.s.gone = nil, nil
	serverStreams.Put(st)
}

// ID is the stream's number on its connection.
func (st *ServerStream) ID() uint32 { return st.s.id }

// Message is what the field decoder found out about the request.
func (st *ServerStream) Message() *fields.Message { return &st.msg }

// NoBody tells whether the request ended with its head.
func (st *ServerStream) NoBody() bool { return st.noBody }

// Server is the connection.
func (st *ServerStream) Server() *Server { return st.srv }

// SetGone has f called when the client resets the stream or leaves, at once and
// with the connection's lock held: it must not call the stream and must not wait.
// codec.Exchange.WakeReader of another connection is what it is for; SetGone(nil)
// before that exchange is released. It is not called after Finish.
func (st *ServerStream) SetGone(f func()) {
	c := st.s.c
	c.mu.Lock()
	if st.s.gone = f; f != nil && st.s.err != nil {
		f()
	}
	c.mu.Unlock()
}

// ReadBody implements stream.Codec. After the client has reset the stream it fails
// with *codec.ResetError; with *codec.ProtocolError when the body broke a rule.
func (st *ServerStream) ReadBody() (p []byte, end bool, err error) {
	if st.msg.Expect {
		st.sendContinue()
	}
	return st.s.readBody(st.trailers)
}

// sendContinue sends the 100 (Continue) that the client waits for, unless a
// response or the body has begun.
func (st *ServerStream) sendContinue() {
	c := st.s.c
	c.mu.Lock()
	defer c.unlock()
	if !st.due100 {
		return
	}
	st.due100 = false
	if st.s.got == 0 && !st.s.ended && st.s.canWrite() == nil {
		c.out.interim(st.s.id, continueBlock)
		c.out.flush(&st.s)
	}
}

// continueBlock is ":status: 100" as a literal that enters no table (RFC 7541 §6.2.2).
var continueBlock = []byte{0x08, 0x03, '1', '0', '0'}

// ProxyContinue says that the 100 (Continue) which the client waits for is the
// upstream's to send (Envoy: proxy_100_continue).
func (st *ServerStream) ProxyContinue() {
	c := st.s.c
	c.mu.Lock()
	st.due100 = false
	c.mu.Unlock()
}

// SetReadDeadline implements stream.Codec.
func (st *ServerStream) SetReadDeadline(t time.Time) { st.s.setReadDeadline(t) }

// WriteInformational implements stream.Codec.
func (st *ServerStream) WriteInformational(h *header.Headers) error {
	c := st.s.c
	c.mu.Lock()
	defer c.unlock()
	if err := st.s.canWrite(); err != nil {
		return err
	}
	if string(h.Value(header.Status)) == "100" {
		st.due100 = false
	}
	c.out.headers(st.s.id, h, fields.Response, false)
	c.out.flush(&st.s)
	return nil
}

// WriteHeaders implements stream.Codec. A response that has no body by its nature
// ends with its head, whatever end says.
func (st *ServerStream) WriteHeaders(h *header.Headers, end bool) error {
	s, c := &st.s, st.s.c
	status := h.Value(header.Status)
	if string(status) == "204" {
		h.Del(header.ContentLength) // RFC 9110 §8.6
	}
	if st.msg.Head || string(status) == "204" || string(status) == "304" {
		end = true
	}
	c.mu.Lock()
	defer c.unlock()
	if err := s.canWrite(); err != nil {
		return err
	}
	st.due100 = false
	c.out.headers(s.id, h, fields.Response, end)
	s.headAt = c.out.queued
	if end {
		s.bodyless = true
		s.finishWriting()
	}
	return nil
}

// WriteBody implements stream.Codec.
func (st *ServerStream) WriteBody(p []byte, end bool) error {
	_, err := st.s.writeBody(p, end)
	return err
}

// WriteTrailers implements stream.Codec.
func (st *ServerStream) WriteTrailers(h *header.Headers) error { return st.s.writeTrailers(h) }

// Flush implements stream.Codec.
func (st *ServerStream) Flush() error { return st.s.flushOut() }

// SpliceBody implements stream.Codec: bodies in frames cannot be spliced.
func (st *ServerStream) SpliceBody(*netio.Timed, int64, time.Duration, time.Time) (int64, bool, error) {
	return 0, false, nil
}

// Interrupt implements stream.Codec.
func (st *ServerStream) Interrupt() {
	c := st.s.c
	c.mu.Lock()
	st.s.halted = true
	st.s.hurry()
	c.mu.Unlock()
}

// Resume implements stream.Codec.
func (st *ServerStream) Resume() {
	c := st.s.c
	c.mu.Lock()
	st.s.halted = false
	c.mu.Unlock()
}

// Gone implements stream.Codec: the client reset the stream, or left.
func (st *ServerStream) Gone() bool {
	c := st.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return st.s.err != nil || c.err != nil || c.out.err != nil
}

// ResetByPeer tells whether the client has reset the stream, and only that.
func (st *ServerStream) ResetByPeer() bool {
	c := st.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	re, ok := st.s.err.(*codec.ResetError)
	return ok && re.Remote
}

// SetReset gives the code with which Finish resets an incomplete response.
func (st *ServerStream) SetReset(code uint32) {
	c := st.s.c
	c.mu.Lock()
	st.code, st.coded = http2.ErrCode(code), true
	c.mu.Unlock()
}

// Upgrade implements stream.Codec: the stream itself is the connection.
func (st *ServerStream) Upgrade() (netio.Conn, []byte) { return &tunnel{s: &st.s}, nil }

// Finish ends the stream, if ServeStream's return shall not: what is left of the
// response is sent, an incomplete one is reset, and so is, after LateGrace, a request
// that was not read whole.
func (st *ServerStream) Finish() {
	if st.left {
		return
	}
	st.left = true
	s, c := &st.s, st.s.c
	c.mu.Lock()
	defer c.unlock()
	s.gone = nil
	switch {
	case s.err != nil:
	case !s.sentEnd:
		code := http2.ErrCodeInternal
		if st.coded {
			code = st.code
		}
		c.rst(s, code, localReset(code))
	case !s.ended && c.o.LateGrace > 0:
		st.srv.outstay(s)
	case !s.ended: // RFC 9113 §8.1: the client shall stop sending
		c.rst(s, http2.ErrCodeNo, localReset(http2.ErrCodeNo))
	}
	c.drain(s)
	c.out.flush(s)
}

func localReset(code http2.ErrCode) error {
	return &codec.ResetError{Code: uint32(code), Reason: reasonLocal}
}
