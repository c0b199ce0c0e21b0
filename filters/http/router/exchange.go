package router

import (
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
)

// An exchange is the router's work for one stream after the other.
type exchange struct {
	wake  func() error // onTick
	gone  func()       // onGone
	pump  *pump
	tried []*upstream.Host
	// rewriteTo is scratch for paths, hosts and locations.
	rewriteTo []byte

	work
}

// work is what an exchange begins anew with each stream.
type work struct {
	f    *filter
	s    *stream.Stream
	rt   *route.Route
	fw   *route.Forward
	w    *route.ClusterWeight
	cl   *upstream.Cluster
	plan plan
	vars route.Vars

	at         *upstream.Attempt // the try under way
	extended   bool              // … asks for an upgrade by extended CONNECT
	upgradeKey []byte            // … and the client waits for the proof of this key
	waited     bool              // the response's body did not come with its head
	reported   bool              // its outcome was told to its host
	tookRetry  bool
	pick       upstream.PickInfo
	open       upstream.OpenInfo
	mark       header.Mark

	// The request body.
	replay buffer.Buf // what was read, for this and later tries
	whole  bool       // all of it is in replay, or there is none
	lost   bool       // more was read than may be kept

	// Times. deadline, once known, bounds everything (route timeout).
	bounds   bounds
	noWord   bool // a timeout is answered with 204 (x-envoy-upstream-rq-timeout-alt-response)
	deadline time.Time
	sentAt   time.Time // the request's last byte went upstream
	bound    timeout   // what ends the wait under way

	left atomic.Bool // the client reset the stream, or left; set on another goroutine
}

func newExchange() *exchange {
	e := new(exchange)
	e.wake, e.gone = e.onTick, e.onGone
	e.pump = &pump{e: e}
	return e
}

func (e *exchange) begin(f *filter, s *stream.Stream, rt *route.Route) {
	e.f, e.s, e.rt, e.fw = f, s, rt, rt.Forward
	e.vars = route.Vars{Conn: &s.Conn.Info, Stream: &s.Info, Request: &s.Request, Response: &s.Response, Hostname: f.hostname}
	s.Info.Route, s.Info.VirtualHost = rt.Name, rt.VirtualHost.Name
	e.bounds.set(s, e.fw)
	if !s.Transparent && s.Request.Has(xEnvoyTimeoutAlt) {
		e.noWord = true
		s.Request.Del(xEnvoyTimeoutAlt)
	}
	e.plan.begin(e.fw, s, &e.bounds)
	e.plan.tuned(&f.cfg, s.Rand())
}

// end gives everything back; the exchange is then ready for another stream.
func (e *exchange) end() {
	e.pump.join()
	if e.at != nil {
		e.report(upstream.Outcome{Failure: upstream.Cancelled})
		e.leave().Abort()
	}
	e.giveRetry()
	e.replay.Discard()
	clear(e.tried)
	e.tried, e.rewriteTo = e.tried[:0], e.rewriteTo[:0]
	e.work = work{}
	if e.pump.at != nil || e.pump.frozen {
		e.pump.reset()
	}
}

func (e *exchange) giveRetry() {
	if e.tookRetry {
		e.tookRetry = false
		e.cl.GiveRetry(e.fw.High)
	}
}

// choose decides on the cluster, and on what its host is chosen by.
func (e *exchange) choose(tr *match.Trace) (name string, dynamic []byte, w *route.ClusterWeight) {
	s := e.s
	hash, hasHash := e.hash()
	name, dynamic, w = e.fw.Pick(s.RouteRequest(), hash, hasHash, tr)
	e.w = w
	s.SetWeight(w)
	e.pick = upstream.PickInfo{Hash: hash, HasHash: hasHash, Dest: s.Conn.Info.Original(), High: e.fw.High}
	return name, dynamic, w
}

// cluster finds where the request goes; it answers and returns false when that
// is nowhere.
func (e *exchange) cluster() bool {
	s := e.s
	name, dynamic, _ := e.choose(nil)
	var ok bool
	if name != "" {
		e.cl, ok = e.f.clusters.Get(name)
	} else {
		e.cl, ok = e.f.clusters.GetBytes(dynamic)
	}
	if !ok {
		s.Info.Cluster = name
		e.rt.MutateResponse(e.w, &s.Response, &e.vars)
		s.Reply(e.fw.NotFoundCode, info.NoClusterFound, "cluster_not_found", "")
		return false
	}
	s.Info.Cluster = e.cl.Name()
	e.originalDst()
	e.open = upstream.OpenInfo{High: e.fw.High, Loop: s.Conn.Loop, Namespace: s.Conn.Namespace, HTTP2: s.Info.Protocol == info.HTTP2}
	return true
}

// head makes the request head what the first and every later try send, but for
// what differs between tries (Envoy: finalizeRequestHeaders).
func (e *exchange) head() {
	s, h := e.s, &e.s.Request
	e.rt.MutateRequest(e.w, h, &e.vars)
	if e.fw.Rewrite.Path() && len(s.Path) > 0 { // CONNECT has none
		if !e.f.cfg.suppressHeaders && !h.Has(xEnvoyOriginalPath) {
			h.Add(xEnvoyOriginalPath, s.Path)
		}
		e.rewriteTo = e.rt.AppendPath(e.rewriteTo[:0], s.Path)
		s.SetPath(e.rewriteTo)
	}
	if host, ok := e.fw.AppendHost(e.rewriteTo[:0], e.w, s.RouteRequest()); ok {
		if e.w != nil && e.w.HostRewrite != "" {
			s.SetAuthority(host)
		} else {
			e.setHost(host)
		}
	}
	e.serverName()
	e.mark = h.Mark()
}

// setHost changes the host, and tells of the one before (Envoy: updateAuthority;
// the host of a share is changed without a word).
func (e *exchange) setHost(host []byte) {
	h := &e.s.Request
	old := h.Value(header.Authority) // not s.Authority, which is that of the try before
	if !e.f.cfg.suppressHeaders {
		h.Set(xEnvoyOriginalHost, old)
	}
	if e.fw.AppendXFH {
		var b [256]byte
		v, _, ok := h.Joined(header.XForwardedHost, b[:0])
		switch {
		case !ok:
			h.Set(header.XForwardedHost, old)
		case string(v) != string(old):
			h.Set(header.XForwardedHost, append(append(append(b[:0], v...), ','), old...))
		}
	}
	e.s.SetAuthority(host)
}

// report tells the host what came of the try under way, once.
func (e *exchange) report(o upstream.Outcome) {
	if !e.reported {
		e.reported = true
		e.at.Report(o)
	}
}

// answered tells the host and the cluster of a response, whether it is delivered
// or tried again.
func (e *exchange) answered(o *outcome) {
	if o.err == nil && o.code > 0 && e.at != nil {
		e.report(upstream.Outcome{Code: e.judged(o), Latency: e.s.Info.UpstreamFirstByte.Sub(e.sentAt)})
		e.cl.CountResponse(o.code)
	}
}

// discard ends the try under way: its connection is kept if what is left of the
// response is at hand.
func (e *exchange) discard(out *outcome) {
	e.pump.join()
	if e.at == nil {
		return
	}
	at := e.leave()
	if out.code > 0 && at.StartBody(&e.s.ResponseTrailers) {
		at.Release()
		e.s.ResponseTrailers.Reset()
		return
	}
	for out.code > 0 && !at.Waits() {
		if _, end, err := at.ReadBody(); err != nil || end {
			break
		}
	}
	at.Release()
	e.s.ResponseTrailers.Reset()
}
