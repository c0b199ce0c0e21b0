package router

import (
	"errors"
	"time"

	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
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
	latency := i.UpstreamFirstByte.Sub(e.sentAt)
	e.report(upstream.Outcome{Code: code, Latency: latency})
	e.cl.CountResponse(code)
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
	end := at.StartBody(&s.ResponseTrailers)
	if err := s.SendHeaders(end); err != nil {
		return e.clientLost(err)
	}
	if !end {
		if err := e.body(); err != nil {
			return err
		}
	}
	i.UpstreamDone = time.Now()
	e.pump.join()
	e.at = nil
	at.Release()
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
			if err := s.Codec().Flush(); err != nil {
				return e.clientLost(err)
			}
			until, _ := e.plan.until(e.deadline, e.bounds.idleFrom(time.Now()))
			at.SetReadDeadline(until)
			if n := at.Remaining(); splice && n >= spliceFrom {
				done, err := e.splice(n, until)
				if done || err != nil {
					return err
				}
				splice = false
			}
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
				return e.clientLost(err)
			}
		}
		if end {
			if !last {
				if err := s.SendTrailers(); err != nil {
					return e.clientLost(err)
				}
			}
			return nil
		}
	}
}

// splice lets the kernel move the rest of the body; done says that all went
// through.
func (e *exchange) splice(n int64, until time.Time) (done bool, err error) {
	moved, ok, err := e.s.Splice(e.at.Source(), n, until)
	if !ok {
		return false, nil
	}
	end := e.at.Spliced(moved)
	if end {
		e.s.SpliceEnded()
	}
	if err != nil {
		var se *netio.SpliceError
		if errors.As(err, &se) && se.Write {
			return false, e.clientLost(err)
		}
		return false, e.upstreamLost(err)
	}
	return end, nil
}

// upstreamLost ends a response that began and broke: the client is reset.
func (e *exchange) upstreamLost(err error) error {
	i := &e.s.Info
	o := outcome{}
	switch {
	case errors.Is(err, errGone):
		return e.clientLost(err)
	case h1.Timeout(err):
		_, o.fired = e.plan.until(e.deadline, e.bounds.idleFrom(time.Now()))
		i.Flags |= o.fired.flag()
		i.Details = o.fired.details()
	default:
		i.Flags |= info.UpstreamConnectionTermination
		i.Details = "upstream_reset_after_response_started{connection_termination}"
		e.cl.Stats().RqRxReset.Inc()
	}
	e.abort()
	return err
}

// clientLost ends an exchange whose client went away.
func (e *exchange) clientLost(err error) error {
	i := &e.s.Info
	i.Flags |= info.DownstreamConnectionTermination
	i.Details = "downstream_remote_disconnect"
	e.cl.Stats().RqTxReset.Inc()
	e.abort()
	return err
}

func (e *exchange) abort() {
	at := e.at
	if at == nil {
		return
	}
	e.report(upstream.Outcome{Failure: upstream.Cancelled})
	e.pump.join()
	e.at = nil
	at.Abort()
}
