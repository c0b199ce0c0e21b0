// Package router is envoy.filters.http.router: it takes a request to a cluster
// and brings back the response, with timeouts, retries and every limit on the way.
//
// router.go is the story; each other file answers one question of it.
package router

import (
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
)

// filter is the router of one filter chain.
type filter struct {
	cfg      settings
	clusters *upstream.Manager
	log      *zap.Logger
	hostname string
	stats    *Stats
}

var _ filters.Terminal = (*filter)(nil)

// ServeStream implements filters.Terminal.
func (f *filter) ServeStream(s *stream.Stream) error {
	rt := s.Route()
	f.stats.count(rt)
	switch {
	case rt == nil && misdirected(s):
		s.Reply(421, 0, "misdirected_request", "misdirected request")
		return nil
	case rt == nil:
		s.Reply(404, info.NoRoute, "route_not_found", "")
		return nil
	case rt.Redirect != nil:
		f.redirect(s, rt)
		return nil
	case rt.Direct != nil:
		f.direct(s, rt)
		return nil
	}
	e, ok := s.Kept.(*exchange)
	if !ok {
		e = newExchange()
	}
	s.Kept = nil // should it panic, it is not used again
	e.begin(f, s, rt)
	err := e.serve()
	e.end()
	s.Kept = e
	return err
}

// misdirected tells whether a request that no virtual host takes belongs to another
// filter chain of the listener: the client reused a connection.
func misdirected(s *stream.Stream) bool {
	if s.Conn.Misdirected == nil || s.Table() == nil || s.Table().Host(s.RouteRequest(), nil) != nil {
		return false
	}
	return s.Conn.Misdirected(s.Authority)
}

// serve is what happens to a request: find its cluster, try until something can
// be delivered or nothing more may be tried, deliver it.
func (e *exchange) serve() error {
	if !e.cluster() || !e.requestBody() {
		return nil
	}
	if err := e.cl.TakeRequest(e.fw.High); err != nil {
		e.fail(outcome{err: err})
		return nil
	}
	defer e.cl.GiveRequest(e.fw.High)
	if e.terminates() {
		return e.terminate()
	}
	e.head()
	for {
		out := e.try()
		e.answered(&out)
		switch d := e.next(out); d.verdict {
		case deliver:
			return e.deliver()
		case retry:
			e.discard(&out)
			if !e.wait(d.after) {
				e.fail(outcome{gone: true})
				return nil
			}
		case giveUp:
			e.discard(&out)
			e.s.Info.Flags |= d.flag
			e.fail(out)
			return nil
		}
	}
}

// next asks the plan, takes what a retry costs, and counts.
func (e *exchange) next(out outcome) decision {
	d := e.plan.next(&out, e.s.Request.Value(header.Method))
	if d.verdict != deliver {
		e.tell(&out)
	}
	st := e.cl.Stats()
	if d.verdict != retry {
		if e.plan.retries > 0 && d.verdict == deliver && out.code < 500 {
			st.RqRetrySuccess.Inc()
		}
		if d.flag == info.UpstreamRetryLimitExceeded {
			st.RqRetryLimitExceeded.Inc()
		}
		if d.verdict == deliver {
			e.s.Info.Flags |= d.flag
		}
		return d
	}
	if d.free {
		if !e.replayable() {
			return e.plan.without(&out)
		}
		return d
	}
	e.giveRetry()
	if !e.replayable() {
		st.RetryOrShadowOver.Inc()
		return e.plan.without(&out)
	}
	if !e.cl.TakeRetry(e.fw.High) {
		d = e.plan.without(&out)
		d.flag |= info.UpstreamOverflow
		return d
	}
	e.tookRetry = true
	e.plan.count()
	st.RqRetry.Inc()
	d.after = e.plan.backoff(&out, rand.Uint64(), time.Now())
	return d
}

// wait sleeps between tries; false says that the client left or the time is up.
func (e *exchange) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	if !e.deadline.IsZero() && time.Now().Add(d).After(e.deadline) {
		d = time.Until(e.deadline)
	}
	return e.s.Sleep(d)
}
