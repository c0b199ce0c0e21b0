package router

import (
	"errors"
	"strings"
	"syscall"

	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream"
)

// fail answers a request that no try brought a response to: the one place where
// an error becomes a status, a body and Envoy's words for both.
func (e *exchange) fail(o outcome) {
	s := e.s
	switch {
	case o.gone:
		s.Info.Flags |= info.DownstreamConnectionTermination
		s.Info.Details = upstream.DetailsDownstreamAborted
		s.MustClose()
		return
	case o.client != nil:
		e.requestFailed(o.client)
		return
	}
	r := replyFor(o.err, o.fired)
	if (o.fired == maxStreamTimeout || o.fired == idleTimeout) && !s.BodyDone() {
		r.code = 408 // it waited for the client (Envoy: maybeRequestTimeoutCode)
	}
	s.Response.Reset()
	e.rt.MutateResponse(e.w, &s.Response, &e.vars)
	switch f := o.err.Flag; {
	case f.Has(info.UnconditionalDropOverload):
		s.Response.AddString(xEnvoyDropAll, "true")
		s.Info.Attempts = 0 // nothing was tried
	case f.Has(info.DropOverload):
		s.Response.AddString(xEnvoyDropOverload, "true")
		s.Info.Attempts = 0
	case f.Has(info.UpstreamOverflow) && !e.f.cfg.suppressHeaders:
		s.Response.AddString(xEnvoyOverloaded, "true")
	}
	if o.err.Err != nil {
		s.Info.UpstreamFailure = o.err.Err.Error()
		if o.err.Flag.Has(info.UpstreamConnectionFailure) && strings.HasSuffix(r.details, "_failure}") {
			s.Info.UpstreamFailure = connectReason(o.err.Err)
			r.details = withReason(r.details, s.Info.UpstreamFailure)
		}
	}
	if rest, ok := strings.CutPrefix(r.body, resetBody); ok && s.Info.Attempts > 1 {
		r.body = retriedBody + rest
	}
	if e.noWord && r.code == 504 && o.fired != noTimeout {
		r.code, r.body = 204, ""
	}
	if e.rt.VirtualHost.IncludeAttemptCountInResponse {
		s.Response.SetInt(xEnvoyAttemptCount, int64(s.Info.Attempts))
	}
	e.cl.CountResponse(r.code)
	s.Reply(r.code, o.err.Flag, r.details, r.body)
}

// A failure is how an error is told to the client and to the log.
type failure struct {
	code          int
	details, body string
}

// replyFor is the table of errors (Envoy: Filter::onUpstreamReset,
// onUpstreamTimeoutAbort, sendNoHealthyUpstreamResponse).
func replyFor(err *upstream.Error, fired timeout) failure {
	switch {
	case fired == routeTimeout:
		return failure{504, "response_timeout", "upstream request timeout"}
	case fired == perTryTimeout, fired == perTryIdleTimeout:
		return failure{504, fired.details(), "upstream request timeout"}
	case fired == maxStreamTimeout:
		return failure{504, fired.details(), "downstream duration timeout"}
	case fired == idleTimeout:
		return failure{504, fired.details(), "stream timeout"}
	}
	switch err.Details {
	case upstream.DetailsNoHealthy, upstream.DetailsNoOriginalDest:
		return failure{503, "no_healthy_upstream", "no healthy upstream"}
	case upstream.DetailsDropOverload:
		return failure{503, "drop_overload", "drop overload"}
	case upstream.DetailsDropAll:
		return failure{503, upstream.DetailsDropAll, "unconditional drop overload"}
	case upstream.DetailsBreakerOpen:
		return failure{503, "circuit_breaker_open", "upstream circuit breaker is open"}
	case detailsNoExtended:
		return failure{502, detailsNoExtended, bodyNoExtended}
	case "protocol_error":
		return failure{502, "upstream_reset_before_response_started{protocol_error}", resetBody + "protocol error"}
	case upstream.DetailsOverflow:
		return failure{503, "upstream_reset_before_response_started{overflow}", resetBody + "overflow"}
	case upstream.DetailsConnectFailure:
		return failure{503, "upstream_reset_before_response_started{remote_connection_failure}", resetBody + "remote connection failure"}
	case upstream.DetailsLocalFailure:
		return failure{503, "upstream_reset_before_response_started{local_connection_failure}", resetBody + "local connection failure"}
	case upstream.DetailsConnectTimeout:
		return failure{503, "upstream_reset_before_response_started{connection_timeout}", resetBody + "connection timeout"}
	case "remote_reset":
		return failure{503, "upstream_reset_before_response_started{remote_reset}", resetBody + "remote reset"}
	case "remote_refused_stream_reset":
		return failure{503, "upstream_reset_before_response_started{remote_refused_stream_reset}", resetBody + "remote refused stream reset"}
	case "local_reset":
		return failure{503, "upstream_reset_before_response_started{local_reset}", resetBody + "local reset"}
	}
	return failure{503, "upstream_reset_before_response_started{connection_termination}", resetBody + "connection termination"}
}

const (
	beforeHeaders = "upstream connect error or disconnect/reset before headers. "
	resetBody     = beforeHeaders + "reset reason: "
	retriedBody   = beforeHeaders + "retried and the latest reset reason: "
)

// connectReason is %UPSTREAM_TRANSPORT_FAILURE_REASON% of a failed connection: of
// what the kernel says, in Envoy's words.
func connectReason(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	text := no.Error()
	return "delayed connect error: " + strings.ToUpper(text[:1]) + text[1:]
}

// withReason puts the reason of a failed connection into the details, which have no
// white space.
func withReason(details, reason string) string {
	b := append([]byte(strings.TrimSuffix(details, "}")), '|')
	for _, c := range []byte(reason) {
		if c <= ' ' || c >= 0x7f {
			c = '_'
		}
		b = append(b, c)
	}
	return string(append(b, '}'))
}
