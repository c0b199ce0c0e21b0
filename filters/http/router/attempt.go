package router

import (
	"errors"
	"io"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream"
)

// An outcome is what came of one try: a response head in s.Response, or an error.
type outcome struct {
	code   int               // of the response; 0 when there was none
	head   *header.Headers   // of the response
	err    *upstream.Error   // why there was none
	fired  timeout           // … when a timeout was why
	client error             // … when reading the request failed
	gone   bool              // … when the client left
	reused bool              // the connection had carried requests before
	silent bool              // … and broke before any byte of a response
	reset  *codec.ResetError // … how an HTTP/2 stream ended that did not break with its connection; else nil
}

// errRearm wakes a wait whose bound has changed.
var errRearm = errors.New("bound changed")

// errGone says that the client has left.
var errGone = errors.New("client left")

// try makes one try: pick a host, get a connection, send the request, await the
// response head.
func (e *exchange) try() outcome {
	s := e.s
	s.Info.Attempts++
	e.plan.tryEnds = time.Time{}
	now := time.Now()
	if e.whole { // else the clock of the try starts with the end of the request
		e.plan.tryBegins(now, &e.bounds)
	}
	if out, ok := e.connect(); !ok {
		return out
	}
	e.reported = false
	s.Info.UpstreamHost = e.at.Host.Address()
	s.Info.UpstreamProtocol = e.at.Protocol
	s.Info.Reused = e.at.Reused
	e.perTryHead()
	e.at.Begin(e.wake)
	e.watch()
	if e.extended {
		if out, ok := e.extends(); !ok {
			return out
		}
	}
	if !e.at.Reused {
		now = time.Now() // connecting took its time
	}
	if err := e.send(now); err != nil {
		// The server may have answered before it stopped reading: look first.
		if out := e.await(); out.err == nil {
			return out
		}
		return e.broken(err)
	}
	return e.await()
}

// connect picks a host and opens a connection to it.
func (e *exchange) connect() (outcome, bool) {
	for range maxPicks {
		e.pick.Tried = nil
		if e.plan.avoidTried {
			e.pick.Tried = e.tried
			e.pick.HostAttempts = e.plan.hostAttempts
		}
		h, err := e.cl.Pick(&e.pick)
		if err != nil {
			return outcome{err: err}, false
		}
		e.tried = append(e.tried, h)
		e.s.Flow.To(&e.s.Info, h.Address())
		e.open.Deadline, _ = e.plan.connectBound(e.deadline)
		e.open.Borrow(&e.s.Conn.Info, h.Address())
		e.at, err = e.cl.OpenHTTP(e.s, h, &e.open)
		if err == nil {
			return outcome{}, true
		}
		e.at = nil
		e.s.Info.UpstreamHost = h.Address()
		if !err.Another {
			return e.unopened(err), false
		}
	}
	return outcome{err: &upstream.Error{Op: "pick", Flag: info.NoHealthyUpstream, Details: upstream.DetailsNoHealthy}}, false
}

// unopened is the outcome of a try that got no connection.
func (e *exchange) unopened(err *upstream.Error) outcome {
	o := outcome{err: err}
	switch {
	case err.Flag.Has(info.DownstreamConnectionTermination):
		o.gone = true
	case err.Details == upstream.DetailsResponseTimeout:
		o.fired = e.plan.connectFired(e.deadline)
		own := *err
		own.Flag, own.Details = o.fired.flag(), o.fired.details()
		o.err = &own
	}
	e.count(&o)
	return o
}

// maxPicks bounds how often a host that turns out unusable is replaced within
// one try.
const maxPicks = 8

// perTryHead puts into the head what differs between tries.
func (e *exchange) perTryHead() {
	h := &e.s.Request
	if e.s.Info.Attempts > 1 {
		h.Rewind(e.mark)
	}
	if e.rt.VirtualHost.IncludeRequestAttemptCount {
		h.SetInt(xEnvoyAttemptCount, int64(e.s.Info.Attempts))
	}
	if !e.f.cfg.suppressHeaders {
		if t := e.bounds.expected(e.deadline); t > 0 {
			h.SetInt(xEnvoyExpectedTimeout, t.Milliseconds())
		}
	}
	// One that has a body cannot be one; its server may ignore the Upgrade (RFC 9110 §7.8).
	e.extended = e.at.Protocol == info.HTTP2 && e.upgrading() && string(e.s.UpgradeType) != "connect" && e.s.NoBody
	if e.extended {
		e.upgradeKey = fields.ToExtendedConnect(h)
	}
	if e.fw.Rewrite.AutoHost {
		if name := e.at.Host.Hostname(); name != "" {
			e.setHost([]byte(name))
		}
	}
}

// send writes the head and what is known of the body; the rest is pumped. now is
// when it begins.
func (e *exchange) send(now time.Time) error {
	none := e.s.NoBody
	opens := e.upgrading() && e.at.Protocol == info.HTTP2 // what follows goes on the same stream
	if err := e.at.WriteHeaders(&e.s.Request, none && !opens); err != nil {
		return err
	}
	if !none {
		if p := e.replay.Bytes(); len(p) > 0 || e.whole {
			if err := writeBody(e.at, p, e.whole, &e.s.RequestTrailers); err != nil {
				return err
			}
		}
	}
	if e.whole || none {
		e.requestDone(now)
		return nil // await sends it
	}
	if err := e.at.Flush(); err != nil {
		return err
	}
	e.pump.start(e.at)
	return nil
}

// requestDone starts the clocks that run once the request is complete.
func (e *exchange) requestDone(now time.Time) {
	if e.s.Info.RequestDone.IsZero() {
		e.s.Info.RequestDone = now
	}
	e.sentAt = now
	if e.deadline.IsZero() && e.bounds.route > 0 {
		e.deadline = now.Add(e.bounds.route)
	}
}

// await waits for the final response head.
func (e *exchange) await() outcome {
	for {
		var until time.Time
		until, e.bound = e.plan.until(e.deadline, e.bounds.idleFrom(e.lastActivity()))
		e.at.SetReadDeadline(until)
		code, err := e.at.ReadHeaders(&e.s.Response)
		if e.extended && code/100 == 2 {
			fields.Upgraded(&e.s.Response, e.s.UpgradeType, e.upgradeKey)
			code = 101
		}
		switch {
		case err == errRearm:
			if e.pump.take() {
				continue
			}
			return e.broken(err)
		case e.stillActive(err):
		case err != nil:
			return e.broken(err)
		case code == 101 && !e.upgrading():
			return e.broken(errUnasked)
		case code == 101 && !fields.Accepts(&e.s.Response, e.s.UpgradeKey):
			return e.broken(errAccept)
		case e.refusedByOK(code):
			return e.broken(errNotUpgraded)
		case code == 101 || code >= 200:
			e.s.Info.UpstreamFirstByte = time.Now()
			return outcome{code: code, head: &e.s.Response}
		case code == 100 && !e.s.Request.Has(header.Expect):
			// Ours to swallow: the client got its own, or asked for none.
		default:
			if err := e.s.Codec().WriteInformational(&e.s.Response); err != nil {
				return outcome{gone: true}
			}
		}
	}
}

// errUnasked is a 101 to a request that asked for no upgrade (RFC 9110 §7.8).
var errUnasked = &codec.ProtocolError{Status: 502, Detail: "http1.unexpected_upgrade", Rule: "101 to a request without Upgrade (RFC 9110 §7.8)"}

// errAccept is a 101 that proves no knowledge of the key we sent (RFC 6455 §4.1).
var errAccept = &codec.ProtocolError{Status: 502, Detail: "websocket.invalid_accept", Rule: "Sec-WebSocket-Accept does not fit the key (RFC 6455 §4.1)"}

// errNotUpgraded is a success that is no yes to an upgrade; a client of HTTP/2 would
// take it for one (RFC 8441 §5).
var errNotUpgraded = &codec.ProtocolError{Status: 502, Detail: "websocket.not_upgraded", Rule: "2xx to an upgrade that an HTTP/2 client asked for (RFC 8441 §5)"}

// refusedByOK tells whether a server ignored the upgrade that a client of HTTP/2
// asked for.
func (e *exchange) refusedByOK(code int) bool {
	return code/100 == 2 && e.upgrading() && e.s.Info.Protocol == info.HTTP2 && string(e.s.UpgradeType) != "connect"
}

// upgrading tells whether the request asks for an upgrade, and may.
func (e *exchange) upgrading() bool { return e.s.UpgradeType != nil }

// stillActive tells whether the idle bound that ended a wait does not hold: the
// request body went on meanwhile.
func (e *exchange) stillActive(err error) bool {
	return e.bound == idleTimeout && codec.Timeout(err) && e.bounds.idleFrom(e.lastActivity()).After(time.Now())
}

// lastActivity is when a byte was last seen to move.
func (e *exchange) lastActivity() time.Time {
	at := e.s.Info.Start
	for _, t := range [...]time.Time{e.sentAt, e.pump.lastPiece()} {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// onTick runs now and then while a response is awaited: it looks after the
// client, and after a request body that is still being sent.
func (e *exchange) onTick() error {
	if e.left.Load() {
		return errGone
	}
	if e.pump.changed() {
		return errRearm
	}
	if e.s.Codec().Gone() {
		return errGone
	}
	return nil
}

// broken turns an error of the try under way into its outcome.
func (e *exchange) broken(err error) outcome {
	e.s.Response.Reset()
	at := e.at
	var pe *codec.ProtocolError
	var re *codec.ResetError
	o := outcome{reused: at.Reused, silent: !at.Started()}
	mk := func(flag info.Flags, details string) *upstream.Error {
		return &upstream.Error{Op: "request", Host: at.Host.Address(), Flag: flag, Details: details, Reused: at.Reused, Sent: at.Sent(), Err: err}
	}
	switch {
	case errors.Is(err, errGone):
		o.gone = true
		o.err = mk(info.DownstreamConnectionTermination, upstream.DetailsDownstreamAborted)
		e.report(upstream.Outcome{Failure: upstream.Cancelled})
	case e.pump.clientErr() != nil:
		o.client = e.pump.clientErr()
		o.err = mk(info.DownstreamConnectionTermination, upstream.DetailsDownstreamAborted)
		e.report(upstream.Outcome{Failure: upstream.Cancelled})
	case codec.Timeout(err):
		o.fired = e.bound
		o.err = mk(o.fired.flag(), o.fired.details())
		e.report(upstream.Outcome{Failure: upstream.Timeout})
	case errors.As(err, &pe) && pe != codec.ErrUnexpectedEOF:
		e.cl.Stats().CxProtocolError.Inc()
		o.err = mk(info.UpstreamProtocolError, "protocol_error")
		e.report(upstream.Outcome{Failure: upstream.Protocol})
	case errors.As(err, &re) && re.Reason != upstream.DetailsTermination:
		o.reset = re
		flag := info.LocalReset
		if re.Remote {
			flag = info.UpstreamRemoteReset
		}
		o.err = mk(flag, re.Reason)
		e.report(upstream.Outcome{Failure: upstream.Reset})
	default:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		o.err = mk(info.UpstreamConnectionTermination, upstream.DetailsTermination)
		e.report(upstream.Outcome{Failure: upstream.Reset})
	}
	e.count(&o)
	return o
}
