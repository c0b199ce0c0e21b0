package router

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream"
)

// smallBody is the largest body, in bytes, of announced length that is read
// before a host is asked: one write then sends it all, and a slow client holds no
// connection of the cluster.
const smallBody = 64 << 10

// defaultKept is how much of a request body is kept for further tries when the
// route does not say (Envoy: per_connection_buffer_limit_bytes, 1 MiB).
const defaultKept = 1 << 20

// requestBody reads a small body; larger ones are pumped beside the response. It
// answers and returns false when the client failed to send it.
func (e *exchange) requestBody() bool {
	s := e.s
	if s.NoBody {
		e.whole = true
		return true
	}
	n := contentLength(&s.Request)
	if n < 0 || n > smallBody || s.Request.Has(header.Expect) {
		return true // too long to wait for, or the server is asked first
	}
	for {
		p, end, err := e.readPiece()
		if err != nil {
			e.requestFailed(err)
			return false
		}
		e.replay.Append(p)
		if end {
			e.whole = true
			return true
		}
	}
}

func contentLength(h *header.Headers) int64 {
	v, ok := h.Get(header.ContentLength)
	if !ok {
		return -1
	}
	n := int64(0)
	for _, c := range v {
		n = n*10 + int64(c-'0') // the codec has checked it
	}
	return n
}

// readPiece reads a piece of the request body within the bounds that hold for it.
func (e *exchange) readPiece() ([]byte, bool, error) {
	at, _ := earliest(e.s.RequestDeadline, routeTimeout, e.bounds.max, maxStreamTimeout)
	if e.bounds.idle > 0 {
		at, _ = earliest(at, routeTimeout, time.Now().Add(e.bounds.idle), idleTimeout)
	}
	e.s.Codec().SetReadDeadline(at)
	return e.s.ReadBody()
}

// requestFailed answers a request whose body could not be read.
func (e *exchange) requestFailed(err error) {
	s := e.s
	s.MustClose()
	var pe *codec.ProtocolError
	var re *codec.ResetError
	switch {
	case errors.As(err, &pe) && s.Info.Protocol == info.HTTP2:
		// The codec has reset the stream: there is nobody to answer.
		s.Info.Flags |= info.DownstreamProtocolError
		s.Info.Details = pe.Detail
	case errors.As(err, &pe) && pe != codec.ErrUnexpectedEOF:
		s.Reply(pe.Status, info.DownstreamProtocolError, pe.Detail, h1.Reason(pe.Status))
	case errors.Is(err, os.ErrDeadlineExceeded):
		switch now := time.Now(); {
		case passed(s.RequestDeadline, now):
			s.Reply(408, 0, "request_overall_timeout", "request timeout")
		case passed(e.bounds.max, now):
			s.Reply(408, 0, maxStreamTimeout.details(), "downstream duration timeout")
		default:
			s.Reply(408, info.StreamIdleTimeout, idleTimeout.details(), "stream timeout")
		}
	case errors.As(err, &re) && re.Remote:
		s.Info.Flags |= info.DownstreamRemoteReset
		s.Info.Details = "http2.remote_reset"
	default:
		s.Info.Flags |= info.DownstreamConnectionTermination
		s.Info.Details = "downstream_remote_disconnect"
	}
}

func passed(d, now time.Time) bool { return !d.IsZero() && !now.Before(d) }

// A pump sends the rest of a request body on a goroutine of its own, so that a
// response may come, and go, before the request is over. It has the reading half
// of the client and the writing half of the server until join.
type pump struct {
	e    *exchange
	on   bool // owned by the goroutine that serves the stream, like seen
	seen bool
	done chan struct{}
	at   *upstream.Attempt

	keeps    bool // another try may need the body; set in start
	finished atomic.Bool
	stopping atomic.Bool
	active   atomic.Int64 // when a piece last came, in Unix nanoseconds

	mu     sync.Mutex
	client error // reading failed; guarded by mu, as are the exchange's replay and lost
	frozen bool  // what was read must stay replayable; guarded by mu
}

func (p *pump) reset() {
	p.on, p.seen, p.done, p.at, p.client, p.frozen = false, false, nil, nil, nil, false
	p.finished.Store(false)
	p.stopping.Store(false)
	p.active.Store(0)
}

func (p *pump) start(at *upstream.Attempt) {
	p.reset()
	p.on, p.at, p.done, p.keeps = true, at, make(chan struct{}), p.e.mayTryAgain()
	p.active.Store(time.Now().UnixNano())
	at.WriteApart()
	go p.run()
}

// run reads, keeps what a further try may need, and writes.
func (p *pump) run() {
	defer close(p.done)
	defer p.finished.Store(true)
	e := p.e
	for {
		b, end, err := e.readPiece()
		if err != nil {
			if p.stopping.Load() {
				return
			}
			p.mu.Lock()
			p.client = err
			p.mu.Unlock()
			p.finished.Store(true)
			p.at.WakeReader() // wakes whoever awaits the response
			return
		}
		p.active.Store(time.Now().UnixNano())
		p.keep(b, end)
		err = writeBody(p.at, b, end, &e.s.RequestTrailers)
		if err == nil {
			err = p.at.Flush()
		}
		if err != nil {
			return // whoever reads the response sees why
		}
		if end {
			p.finished.Store(true)
			p.at.WakeReader() // the clocks of a whole request start
			return
		}
	}
}

// keep remembers a piece for further tries, as long as it fits.
func (p *pump) keep(b []byte, end bool) {
	e := p.e
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.lost:
	case !p.frozen && (!p.keeps || int64(e.replay.Len()+len(b)) > e.kept()):
		e.lost = true
		e.replay.Discard()
	default:
		e.replay.Append(b)
		e.whole = end // a later try then sends it all at once
	}
}

// mayTryAgain tells whether there is any reason to keep the body.
func (e *exchange) mayTryAgain() bool {
	return e.plan.left > 0 || e.at.Reused && !e.plan.freshOnce && idempotent(e.s.Request.Value(header.Method))
}

// freeze tells whether all that was read of the body can be sent again, and makes
// it stay so.
func (p *pump) freeze() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = !p.e.lost
	return p.frozen
}

func (e *exchange) kept() int64 {
	if e.rt.BufferLimit >= 0 {
		return e.rt.BufferLimit
	}
	return defaultKept
}

// writeBody writes a piece of a body, and the trailers when it is the last.
func writeBody(at *upstream.Attempt, b []byte, end bool, trailers *header.Headers) error {
	if !end || trailers.Len() == 0 {
		return at.WriteBody(b, end)
	}
	if len(b) > 0 {
		if err := at.WriteBody(b, false); err != nil {
			return err
		}
	}
	return at.WriteTrailers(trailers)
}

// changed tells, once, that the pump has finished.
func (p *pump) changed() bool { return p.on && !p.seen && p.finished.Load() }

// take notes what changed: the request is whole, so its clocks start. It is false
// when the client failed to send the rest.
func (p *pump) take() bool {
	p.seen = true
	if p.clientErr() != nil {
		return false
	}
	now := time.Now()
	p.e.requestDone(now)
	if p.e.bounds.perTry > 0 {
		p.e.plan.tryBegins(now, &p.e.bounds)
	}
	return true
}

func (p *pump) clientErr() error {
	if !p.on {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client
}

// lastPiece is when the pump last moved something.
func (p *pump) lastPiece() time.Time {
	if !p.on {
		return time.Time{}
	}
	return time.Unix(0, p.active.Load())
}

// wait lets the pump finish; false says that the client failed to send the rest.
func (p *pump) wait() bool {
	if !p.on {
		return true
	}
	<-p.done
	ok := p.clientErr() == nil
	p.on = false
	return ok
}

// join ends the pump: reading and writing are interrupted if they still go on.
// Both may be about to set a deadline of their own, so it is done again until it
// has worked. Writing is spared at first: a pump that has just sent the last piece
// has nothing to be interrupted in, and stopping it would cost the connection.
func (p *pump) join() {
	if !p.on {
		return
	}
	if !p.finished.Load() {
		p.stopping.Store(true)
		t := time.NewTicker(joinEvery)
		defer t.Stop()
		for waiting := true; waiting; {
			p.e.s.Codec().Interrupt()
			select {
			case <-p.done:
				waiting = false
			case <-t.C:
				p.at.StopWriting()
			}
		}
		p.e.s.Codec().Resume()
	}
	<-p.done
	p.on = false
}

// joinEvery is how often a pump is interrupted that does not hear.
const joinEvery = 2 * time.Millisecond
