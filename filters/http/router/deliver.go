package router

import (
	"errors"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
)

// spliceFrom is the least rest of a body, in bytes, that is moved by the kernel
// from socket to socket.
const spliceFrom = 64 << 10

// deliver sends the response that the last try brought.
func (e *exchange) deliver() error {
	s, at, h := e.s, e.at, &e.s.Response
	i := &s.Info
	code := statusCode(h.Value(header.Status))
	i.Code, i.Details = code, "via_upstream"
	e.plan.tryEnds = time.Time{} // Envoy: per_try_timeout does not end a response that has begun
	latency := time.Duration(0)
	if !e.sentAt.IsZero() { // else it answers a request that is not over
		latency = i.UpstreamFirstByte.Sub(e.sentAt)
	}
	e.cl.Stats().RqTime.Record(uint64(i.UpstreamFirstByte.Sub(i.Start).Milliseconds()))
	if !e.f.cfg.suppressHeaders {
		h.SetInt(xEnvoyServiceTime, max(latency.Milliseconds(), 0))
	}
	if e.rt.VirtualHost.IncludeAttemptCountInResponse {
		h.SetInt(xEnvoyAttemptCount, int64(i.Attempts))
	}
	e.rt.MutateResponse(e.w, h, &e.vars)
	e.setCookie(h)
	if code == 101 || string(s.UpgradeType) == "connect" && code/100 == 2 {
		return e.upgrade()
	}
	if e.upgrading() && at.Protocol == info.HTTP2 {
		_ = at.WriteBody(nil, true) // refused: an ordinary exchange after all
	}
	end := at.StartBody(&s.ResponseTrailers)
	trailers := end && s.ResponseTrailers.Len() > 0 // they came before anybody looked
	if err := s.SendHeaders(end && !trailers); err != nil {
		return e.sendFailed(err)
	}
	switch {
	case trailers:
		if err := s.SendTrailers(); err != nil {
			return e.sendFailed(err)
		}
	case !end:
		if err := e.body(); err != nil {
			return err
		}
	}
	i.UpstreamDone = i.UpstreamFirstByte
	if e.waited {
		i.UpstreamDone = time.Now()
	}
	e.pump.join()
	e.leave()
	at.ReleaseAt(i.UpstreamDone)
	return nil
}

func statusCode(b []byte) int {
	return int(b[0]-'0')*100 + int(b[1]-'0')*10 + int(b[2]-'0')
}

// body moves the response body. What is written is flushed before every wait, so
// that a response that comes slowly goes on as it comes.
func (e *exchange) body() error {
	s, at := e.s, e.at
	splice := !s.Chain().LooksAtResponseBody()
	for {
		if at.Waits() {
			e.waited = true
			if err := s.Codec().Flush(); err != nil {
				return e.clientLost(err)
			}
			if n := at.Remaining(); splice && n >= spliceFrom {
				var done bool
				var err error
				if done, splice, err = e.splice(n); done || err != nil {
					return err
				}
				continue
			}
			var until time.Time
			until, e.bound = e.plan.until(e.deadline, e.bounds.idleFrom(time.Now()))
			at.SetReadDeadline(until)
		}
		p, end, err := at.ReadBody()
		if err != nil {
			if err == errRearm && e.pump.take() {
				continue
			}
			return e.upstreamLost(err)
		}
		last := end && s.ResponseTrailers.Len() == 0
		if len(p) > 0 || last {
			if err := s.SendBody(p, last); err != nil {
				return e.sendFailed(err)
			}
		}
		if end {
			if !last {
				if err := s.SendTrailers(); err != nil {
					return e.sendFailed(err)
				}
			}
			return nil
		}
	}
}

// splice lets the kernel move the rest of the body; done says that all went
// through, again that it may be called once more.
func (e *exchange) splice(n int64) (done, again bool, err error) {
	idle, fired := e.plan.quiet(e.bounds.idle)
	until, hard := e.plan.connectBound(e.deadline)
	moved, ok, err := e.s.Splice(e.at.Source(), n, idle, until)
	if !ok {
		return false, false, nil
	}
	end := e.at.Spliced(moved)
	if end {
		e.s.SpliceEnded()
	}
	if err == nil {
		return end, true, nil
	}
	var se *netio.SpliceError
	switch {
	case errors.Is(err, errRearm) && e.pump.take():
		return false, true, nil
	case errors.As(err, &se) && se.Write:
		return false, false, e.clientLost(err)
	}
	e.bound = fired
	if !until.IsZero() && !time.Now().Before(until) {
		e.bound = hard
	}
	return false, false, e.upstreamLost(err)
}

// upstreamLost ends a response that began and broke: the client is reset.
func (e *exchange) upstreamLost(err error) error {
	i := &e.s.Info
	var re *codec.ResetError
	var pe *codec.ProtocolError
	switch {
	case errors.Is(err, errGone), e.pump.clientErr() != nil:
		return e.clientLost(err)
	case codec.Timeout(err):
		i.Flags |= e.bound.flag()
		i.Details = e.bound.details()
	case errors.As(err, &pe) && pe != codec.ErrUnexpectedEOF:
		i.Flags |= info.UpstreamProtocolError
		i.Details = "upstream_reset_after_response_started{protocol_error}"
		e.cl.Stats().CxProtocolError.Inc()
	case errors.As(err, &re) && re.Remote:
		i.Flags |= info.UpstreamRemoteReset
		i.Details = "upstream_reset_after_response_started{remote_reset}"
		e.cl.Stats().RqRxReset.Inc()
	default:
		i.Flags |= info.UpstreamConnectionTermination
		i.Details = "upstream_reset_after_response_started{connection_termination}"
		e.cl.Stats().RqRxReset.Inc()
	}
	e.abort()
	return err
}

// sendFailed ends an exchange whose response could not be sent on: a filter
// stopped it, or the client went away.
func (e *exchange) sendFailed(err error) error {
	if errors.Is(err, stream.ErrStopped) {
		e.abort()
		return nil
	}
	return e.clientLost(err)
}

// clientLost ends an exchange whose client went away.
func (e *exchange) clientLost(err error) error {
	i := &e.s.Info
	e.s.MustClose()
	i.Flags |= info.DownstreamConnectionTermination
	i.Details = "downstream_remote_disconnect"
	e.cl.Stats().RqTxReset.Inc()
	e.abort()
	return err
}

func (e *exchange) abort() {
	if e.at == nil {
		return
	}
	e.report(upstream.Outcome{Failure: upstream.Cancelled})
	e.pump.join()
	e.leave().Abort()
}
