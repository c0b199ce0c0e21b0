package stream

import (
	"errors"
	"strconv"
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// ErrStopped says that a filter ended the stream in a phase that was running.
var ErrStopped = errors.New("stream ended by a filter")

// Run takes a request whose head is in through the chain.
func (s *Stream) Run() error {
	s.Route()
	for i := range s.chain.reqHeaders {
		st := &s.chain.reqHeaders[i]
		if s.disabled(st.name) {
			continue
		}
		if st.f.OnRequestHeaders(s) == Stop {
			return nil
		}
	}
	return s.chain.terminal.ServeStream(s)
}

// ReadBody gives the next piece of the request body after the request filters
// have seen it; valid until the next call.
func (s *Stream) ReadBody() (p []byte, end bool, err error) {
	if s.BodyDone() {
		s.bodyDone.Store(true)
		return nil, true, nil
	}
	p, end, err = s.codec.ReadBody()
	if err != nil {
		return nil, false, err
	}
	s.Info.BytesReceived += uint64(len(p))
	s.bodyDone.Store(end)
	for i := range s.chain.reqBody {
		st := &s.chain.reqBody[i]
		if s.disabled(st.name) {
			continue
		}
		var v Verdict
		if p, v = st.f.OnRequestBody(s, p, end); v == Stop {
			return nil, false, ErrStopped
		}
	}
	if end && s.RequestTrailers.Len() > 0 {
		for i := range s.chain.reqTrailers {
			st := &s.chain.reqTrailers[i]
			if !s.disabled(st.name) && st.f.OnRequestTrailers(s) == Stop {
				return nil, false, ErrStopped
			}
		}
	}
	return p, end, nil
}

// BodyDone tells whether the whole request was read.
func (s *Stream) BodyDone() bool { return s.NoBody || s.bodyDone.Load() }

// SendHeaders sends the response head in s.Response through the response
// phases, then to the codec's output.
func (s *Stream) SendHeaders(end bool) error {
	if s.replied {
		return errors.New("response head sent twice")
	}
	// A filter that replies in this phase comes back here: the filters that have
	// had their turn are not asked again.
	for s.respPhase < len(s.chain.respHeaders) {
		st := &s.chain.respHeaders[s.respPhase]
		s.respPhase++
		if !s.disabled(st.name) && st.f.OnResponseHeaders(s) == Stop {
			return ErrStopped
		}
	}
	s.replied = true
	if s.chain.finish != nil {
		s.chain.finish.FinishResponse(s, end)
	}
	s.ended = end
	return s.codec.WriteHeaders(&s.Response, end)
}

// SendBody sends a piece of the response body.
func (s *Stream) SendBody(p []byte, end bool) error {
	for i := range s.chain.respBody {
		st := &s.chain.respBody[i]
		if s.disabled(st.name) {
			continue
		}
		var v Verdict
		if p, v = st.f.OnResponseBody(s, p, end); v == Stop {
			return ErrStopped
		}
	}
	s.Info.BytesSent += uint64(len(p))
	s.ended = end
	return s.codec.WriteBody(p, end)
}

// Splice moves n bytes of the response body from a socket to the client without
// looking at them; ok is false when that is not possible here, and nothing was
// moved. It must not be used when a filter looks at the body.
func (s *Stream) Splice(from *netio.Timed, n int64, idle time.Duration, until time.Time) (moved int64, ok bool, err error) {
	moved, ok, err = s.codec.SpliceBody(from, n, idle, until)
	s.Info.BytesSent += uint64(moved)
	return moved, ok, err
}

// SpliceEnded says that a splice moved the last of the body.
func (s *Stream) SpliceEnded() { s.ended = true }

// Upgraded says that the bytes after the head have all been exchanged.
func (s *Stream) Upgraded() {
	s.ended = true
	s.bodyDone.Store(true)
}

// SendTrailers ends the response with s.ResponseTrailers.
func (s *Stream) SendTrailers() error {
	for i := range s.chain.respTrailers {
		st := &s.chain.respTrailers[i]
		if !s.disabled(st.name) && st.f.OnResponseTrailers(s) == Stop {
			return ErrStopped
		}
	}
	s.ended = true
	return s.codec.WriteTrailers(&s.ResponseTrailers)
}

// Replied tells whether a response head was sent; Ended whether all was.
func (s *Stream) Replied() bool { return s.replied }

// Ended tells whether the whole response was sent.
func (s *Stream) Ended() bool { return s.ended }

// SetStatus sets the response's status.
func (s *Stream) SetStatus(code int) {
	s.Info.Code = code
	s.Response.Set(header.Status, strconv.AppendInt(s.statusBuffer[:0], int64(code), 10))
}

// End runs StreamEnd of every filter, in chain order.
func (s *Stream) End() {
	for i := range s.chain.ends {
		s.chain.ends[i].f.OnStreamEnd(s)
	}
}
