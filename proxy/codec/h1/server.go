package h1

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

var (
	// ErrDrained says that the connection was idle when it was asked to drain.
	ErrDrained = errors.New("connection drained")
	// errShortBody ends a message whose body is shorter than its head promised:
	// the connection must break, or the peer would take what follows for it.
	errShortBody = errors.New("body shorter than its content-length")
)

// A Server is the downstream half of a connection: it reads requests and writes
// responses, one at a time. One goroutine owns it, except that ReadBody may be
// called by another while the owner writes the response.
type Server struct {
	// set in NewServer, never changed
	c     *conn.Conn
	rules *RequestRules

	// owned by the goroutine that reads
	in       netio.Timed
	scan     scanner
	body     bodyReader
	pending  int // bytes of c.In that ReadBody has given out
	until    time.Time
	large    *[]byte
	received uint64
	checked  bool // the request line of the head under way was looked at

	// owned by the goroutine that writes
	out   output
	close bool

	msg     Message // of the current request; read by both
	stopped atomic.Bool

	// A 100 (Continue) is written by the goroutine that reads: mu keeps it apart
	// from what the other writes, and expect says that it is still due.
	mu     sync.Mutex
	expect bool
}

// NewServer makes the server half of a connection; c.In may hold the first bytes.
// writeIdle is the longest the client may take nothing of a response.
func NewServer(c *conn.Conn, r *RequestRules, writeIdle time.Duration) *Server {
	s := &Server{c: c, rules: r, received: uint64(c.In.Len())}
	s.in = netio.Timed{C: c.Conn, Wake: s.wake}
	s.out = output{io: &s.in, idle: writeIdle}
	return s
}

// errInterrupted ends a ReadBody that Interrupt was called on.
var errInterrupted = errors.New("interrupted")

// wake ends an idle wait when the connection is to drain, and any when it was
// interrupted.
func (s *Server) wake() error {
	if s.stopped.Load() {
		return errInterrupted
	}
	if s.c.Ending() && s.c.In.Len() == 0 {
		return ErrDrained
	}
	return nil
}

// drainGrace is how long a draining idle connection listens for a request that
// was already on its way.
const drainGrace = 5 * time.Millisecond

// Await waits for the first byte of a request until idle; zero is no bound. It
// holds no memory while it waits. io.EOF says that the client has finished.
func (s *Server) Await(idle time.Time) error {
	s.c.In.Consume(s.pending)
	s.pending = 0
	return s.awaitFirst(idle)
}

// ReadRequest reads the request head whose first byte Await has seen and parses
// it into h; trailers will be put into t. The head must be complete until the
// given moment; zero is no bound. A *ProtocolError says that it was refused.
func (s *Server) ReadRequest(h, t *header.Headers, until time.Time) (*Message, error) {
	in := &s.c.In
	for {
		n, err := s.scan.next(in.Bytes(), s.rules.MaxHead)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			err = parseRequest(in.Bytes()[:n], h, &s.msg, s.rules)
			in.Consume(n)
			if err != nil {
				return nil, err
			}
			break
		}
		if err := s.checkLine(in.Bytes()); err != nil {
			return nil, err
		}
		if err := s.more(until); err != nil {
			if err == io.EOF {
				err = ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	s.body.start(&s.msg, t, &s.rules.Limits)
	s.expect = s.msg.Expect && s.msg.Body != NoBody
	s.checked = false
	s.close = !s.msg.KeepAlive
	s.until = time.Time{}
	if s.msg.Body == NoBody {
		in.Release()
	}
	return &s.msg, nil
}

// checkLine refuses a bad request line as soon as it is whole: who speaks
// HTTP/0.9 or no HTTP sends no empty line to wait for.
func (s *Server) checkLine(b []byte) error {
	if s.checked {
		return nil
	}
	i := bytes.IndexByte(b, '\n')
	if i < 1 {
		return nil
	}
	s.checked = true
	var m Message
	return requestLine(b, 0, i-1, &m)
}

// awaitFirst waits for the first byte of a request, skipping the empty lines
// that some clients put before it (RFC 9112 §2.2).
func (s *Server) awaitFirst(idle time.Time) error {
	in := &s.c.In
	for {
		b := in.Bytes()
		switch {
		case len(b) >= 2 && b[0] == '\r' && b[1] == '\n':
			in.Consume(2)
			continue
		case len(b) >= 1 && b[0] != '\r':
			if !grammar.TokenByte(b[0]) {
				return ErrMethod
			}
			return nil
		case len(b) >= 2:
			return ErrBareCR
		}
		in.Release()
		if s.c.SetIdle(true) && in.Len() == 0 {
			return s.lastCall(idle)
		}
		err := s.more(idle)
		s.c.SetIdle(false)
		if err == ErrDrained {
			return s.lastCall(idle)
		}
		if err != nil {
			return err
		}
	}
}

// lastCall listens once more, shortly, before a draining connection is closed.
func (s *Server) lastCall(time.Time) error {
	s.c.SetIdle(false)
	if err := s.c.SetReadDeadline(time.Now().Add(drainGrace)); err != nil {
		return err
	}
	n, err := s.c.ReadBuf(&s.c.In)
	s.received += uint64(n)
	if err != nil {
		return ErrDrained
	}
	return nil
}

// SetReadDeadline implements stream.Codec.
func (s *Server) SetReadDeadline(t time.Time) { s.until = t }

// ReadBody implements stream.Codec.
func (s *Server) ReadBody() (p []byte, end bool, err error) {
	in := &s.c.In
	in.Consume(s.pending)
	s.pending = 0
	for {
		p, n, end, err := s.body.next(in.Bytes())
		if err != nil {
			return nil, false, err
		}
		if len(p) > 0 || end {
			s.pending = n
			if end {
				s.dropLarge()
			}
			return p, end, nil
		}
		in.Consume(n)
		if err := s.sendContinue(); err != nil {
			return nil, false, err
		}
		if s.stopped.Load() {
			return nil, false, errInterrupted
		}
		if s.body.kind == Length && s.body.left > buffer.Block {
			return s.readLarge()
		}
		in.Release()
		if err := s.more(s.until); err != nil {
			if err == io.EOF {
				err = ErrUnexpectedEOF
			}
			return nil, false, err
		}
	}
}

// more reads some bytes until a moment.
func (s *Server) more(until time.Time) error {
	n, err := s.in.ReadBuf(&s.c.In, until)
	s.received += uint64(n)
	return err
}

// readLarge reads a piece of a long body straight into a large block.
func (s *Server) readLarge() ([]byte, bool, error) {
	s.c.In.Release()
	if s.large == nil {
		s.large = buffer.GetLarge()
	}
	b := *s.large
	if int64(len(b)) > s.body.left {
		b = b[:s.body.left]
	}
	n, err := s.in.Read(b, s.until)
	s.received += uint64(n)
	if err != nil {
		if err == io.EOF {
			err = ErrUnexpectedEOF
		}
		return nil, false, err
	}
	s.body.took(n)
	return b[:n], s.body.over(), nil
}

func (s *Server) dropLarge() {
	if s.large != nil {
		buffer.PutLarge(s.large)
		s.large = nil
	}
}

// sendContinue sends the 100 (Continue) that the client waits for, unless a
// response has begun.
func (s *Server) sendContinue() error {
	if !s.msg.Expect {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.expect {
		return nil
	}
	s.expect = false
	s.out.buf.Append(continueHead)
	return s.out.flush()
}

var continueHead = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// ProxyContinue says that the 100 (Continue) which the client waits for is the
// upstream's to send (Envoy: proxy_100_continue).
func (s *Server) ProxyContinue() {
	s.mu.Lock()
	s.expect = false
	s.mu.Unlock()
}

// Interrupt implements stream.Codec.
func (s *Server) Interrupt() {
	s.stopped.Store(true)
	_ = s.c.SetReadDeadline(time.Unix(1, 0))
}

// Resume implements stream.Codec.
func (s *Server) Resume() { s.stopped.Store(false) }

// BytesIn is the number of bytes that came on this connection, those included that
// were in before the Server was made.
func (s *Server) BytesIn() uint64 { return s.received }

// BytesOut is the number of bytes handed to the system on this connection.
func (s *Server) BytesOut() uint64 { return s.out.sent }

// Buffered tells whether the next request, or a part of it, is already in.
func (s *Server) Buffered() bool { return s.c.In.Len() > s.pending }

// Gone implements stream.Codec.
func (s *Server) Gone() bool {
	c, ok := s.c.Conn.(interface{ Gone() bool })
	return ok && c.Gone()
}

// Upgrade implements stream.Codec.
func (s *Server) Upgrade() (netio.Conn, []byte) {
	s.c.In.Consume(s.pending)
	s.pending = 0
	return s.c.Conn, s.c.In.Bytes()
}
