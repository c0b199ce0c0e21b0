package h2

import (
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
)

// A Handler serves the streams of a Server.
type Handler interface {
	// NewStream is called on the reading goroutine, which must not wait, when a request
	// begins. It gives where its head and its trailers go.
	NewStream(*ServerStream) (request, trailers *header.Headers)
	// ServeStream is called on a goroutine of the stream's own once its head is in. The
	// stream is over when it returns.
	ServeStream(*ServerStream)
	// Refused is called instead, on the reading goroutine, when the head broke a rule
	// or a limit: nothing is answered but RST_STREAM or GOAWAY.
	Refused(*ServerStream, error)
	// Retire is called when a stream begins no further request: what its User holds
	// from one to the next is not needed any more. The connection's lock is held.
	Retire(*ServerStream)
}

// A Server is the downstream half of a connection.
type Server struct {
	core

	// set before Serve, never changed
	c *conn.Conn
	h Handler

	// guarded by mu
	life    life
	workers workers
	running int       // handlers that have not returned
	ended   sync.Cond // one of the goroutines that workers are has ended
}

// NewServer makes the server half of a connection; c.In may hold the first bytes,
// of which the client's preface is the very first.
func NewServer(c *conn.Conn, o *Options, st *Stats, h Handler) *Server {
	s := &Server{c: c, h: h}
	s.init(c.Conn, &c.In, o, st, s, false)
	s.ended.L = &s.mu
	return s
}

// Serve reads until the connection is over, and returns once all streams have
// ended; the caller closes the connection. idle is how long it may have no stream,
// maxAge how long it may live; 0 is for ever. It gives io.EOF when the client
// left, ErrDrained, ErrIdle or ErrMaxAge after a drain, a *ConnError when a peer
// broke a rule, or the error of the connection.
func (s *Server) Serve(idle, maxAge time.Duration) error {
	s.mu.Lock()
	s.settings()
	s.out.kick()
	s.life.begin(s, idle, maxAge)
	s.keep.start(&s.core)
	if ending := s.c.SetIdle(true); s.c.Tell() || ending {
		s.life.drain(s, ErrDrained)
	}
	s.unlock()
	err := s.serve(s.preface())
	s.c.SetIdle(false)
	s.mu.Lock()
	s.workers.idle.drop(len(s.workers.idle.list), dismissed)
	for s.workers.n > 0 {
		s.ended.Wait()
	}
	s.unlock()
	s.linger()
	return err
}

// preface reads the client's (RFC 9113 §3.4).
func (s *Server) preface() error {
	const want = http2.ClientPreface
	for {
		b := s.in.Bytes()
		n := min(len(b), len(want))
		if string(b[:n]) != want[:n] {
			return connError(http2.ErrCodeProtocol, "bad client preface")
		}
		if n == len(want) {
			s.in.Consume(n)
			return nil
		}
		if err := s.readMore(); err != nil {
			return err
		}
	}
}

// BytesIn and BytesOut are how many bytes came on the connection, with those that
// were in before, and how many were handed to the system.
func (s *Server) BytesIn() uint64 {
	in, _ := s.bytes()
	return in
}

// BytesOut is the other direction.
func (s *Server) BytesOut() uint64 {
	_, out := s.bytes()
	return out
}

// Drain ends the connection when its streams are over: two GOAWAYs with a round
// trip between them, so that no request is lost (RFC 9113 §6.8). Any goroutine may
// call it.
func (s *Server) Drain() {
	s.mu.Lock()
	s.life.drain(s, ErrDrained)
	s.unlock()
}

// Draining tells whether the connection takes, or soon will take, no further streams.
func (s *Server) Draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.phase > 0 || s.err != nil
}

// block implements side: a request's head, or its trailers.
func (s *Server) block(id uint32, b []byte, end, selfDepends bool) error {
	if id&1 == 0 {
		return connError(http2.ErrCodeProtocol, "client opens a stream of an even number")
	}
	s.mu.Lock()
	if id > s.maxID {
		return s.request(id, b, end, selfDepends)
	}
	st := s.table.get(id)
	if st == nil {
		if s.endLate(id, buriedInPeace) { // trailers
			s.unlock()
			return s.discardBlock(b)
		}
		how, skipped := s.closed.how(id), s.closed.skipped(id)
		s.mu.Unlock()
		return s.strayBlock(id, b, how, skipped)
	}
	ended := st.ended
	s.mu.Unlock()
	return s.trailersFor(id, b, end, ended, selfDepends)
}

// strayBlock takes a field block of a stream that is not open any more.
func (c *core) strayBlock(id uint32, b []byte, how uint8, skipped bool) error {
	if skipped {
		return connError(http2.ErrCodeProtocol, "HEADERS on a stream below the highest")
	}
	c.st.HeadersCBNoStream.Inc()
	if err := c.discardBlock(b); err != nil {
		return err
	}
	switch how {
	case buriedInPeace:
		return connError(http2.ErrCodeStreamClosed, "HEADERS on a closed stream")
	case buriedByPeer:
		return &streamError{id, http2.ErrCodeStreamClosed, errStreamClosed}
	}
	return nil
}

// discardBlock keeps the field table right for a block that nobody wants.
func (c *core) discardBlock(b []byte) error {
	if err := c.dec.Discard(b); err != nil {
		return connError(http2.ErrCodeCompression, "field block cannot be decoded")
	}
	return nil
}

// trailersFor takes a second field block of a stream.
func (c *core) trailersFor(id uint32, b []byte, end, ended, selfDepends bool) error {
	switch {
	case ended:
		if err := c.discardBlock(b); err != nil {
			return err
		}
		return &streamError{id, http2.ErrCodeStreamClosed, errStreamClosed}
	case !end:
		if err := c.discardBlock(b); err != nil {
			return err
		}
		return &streamError{id, http2.ErrCodeProtocol, errMidTrailers}
	}
	c.fields.Reset()
	err := c.dec.Trailers(b, &c.fields, &c.o.Fields, &c.msg)
	c.st.DroppedUnderscores.Add(uint64(c.msg.Dropped))
	if err != nil {
		return c.malformed(id, err)
	}
	if selfDepends {
		return &streamError{id, http2.ErrCodeProtocol, errSelfDepends}
	}
	c.mu.Lock()
	defer c.unlock()
	st := c.table.get(id)
	if st == nil {
		return nil
	}
	c.st.Trailers.Inc()
	st.trailers, c.fields = c.fields, st.trailers
	st.trailed = true
	return st.end()
}

// malformed is what follows from an error of the field decoder.
func (c *core) malformed(id uint32, err error) error {
	pe, ok := err.(*codec.ProtocolError)
	switch {
	case !ok:
		return connError(http2.ErrCodeCompression, "field block cannot be decoded")
	case pe.Status == 431:
		c.st.HeaderOverflow.Inc()
	case pe == fields.ErrUnderscore:
		c.st.RejectedUnderscores.Inc()
	}
	if !c.client && pe == fields.ErrUnderscore {
		// The configuration's rule, not the protocol's: the connection did no wrong.
		return &streamError{id, http2.ErrCodeInternal, pe}
	}
	if !c.client && !c.o.StreamErrorOnInvalid && pe.Status != 431 {
		c.st.RxMessagingError.Inc()
		return connError(http2.ErrCodeProtocol, pe.Rule)
	}
	return &streamError{id, http2.ErrCodeProtocol, pe}
}

// request takes the head of a new request. The lock is held, and freed.
func (s *Server) request(id uint32, b []byte, end, selfDepends bool) error {
	s.closed.opened(id, s.maxID)
	ignored := s.goneAway
	refused := !ignored && (s.active >= int(s.o.MaxConcurrentStreams) || s.running >= 2*int(s.o.MaxConcurrentStreams))
	s.guard.opened++
	s.maxID = id
	if !ignored {
		s.lastID = id
	}
	var k *worker
	if !ignored && !refused {
		k = s.workers.take(s)
	}
	s.mu.Unlock()
	if ignored || refused {
		if err := s.discardBlock(b); err != nil || ignored {
			return err
		}
		s.mu.Lock()
		defer s.unlock()
		s.st.RefusedStreams.Inc()
		s.out.rst(id, http2.ErrCodeRefusedStream)
		s.closed.add(id, buriedByUs)
		return s.guard.reset(&s.core)
	}
	st := k.st
	st.bind(s, id)
	h, t := s.h.NewStream(st)
	st.trailers = t
	why := s.dec.Request(b, h, &s.o.Fields, &st.msg)
	s.st.DroppedUnderscores.Add(uint64(st.msg.Dropped))
	switch {
	case why != nil:
	case selfDepends:
		why = errSelfDepends
	case end && st.msg.ContentLength > 0:
		why = errLength
	case st.msg.Protocol && !s.o.AllowConnect:
		why = errNoConnect
	}
	if why != nil {
		s.h.Refused(st, why)
		s.mu.Lock()
		s.closed.add(id, buriedByUs)
		s.workers.give(s, k)
		s.mu.Unlock()
		if why == error(errSelfDepends) {
			return &streamError{id, http2.ErrCodeProtocol, errSelfDepends}
		}
		return s.malformed(id, why)
	}
	s.mu.Lock()
	if err := s.err; err != nil { // it ended meanwhile
		s.unlock()
		s.h.Refused(st, err)
		s.mu.Lock()
		s.workers.give(s, k)
		s.unlock()
		return err
	}
	st.s.declared = st.msg.ContentLength
	st.s.ended, st.noBody = end, end
	st.s.open(id)
	st.s.count()
	s.running++
	s.workers.serve(s, k)
	s.unlock()
	return nil
}

// goAway implements side: a client that says so opens no further streams, which
// needs no answer.
func (s *Server) goAway(uint32, http2.ErrCode, []byte) error { return nil }

var errNoConnect = &codec.ProtocolError{Status: 400, Detail: "http2.violation.of.messaging.rule", Rule: "extended CONNECT where it is not allowed (RFC 8441 §3)"}
