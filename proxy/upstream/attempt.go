package upstream

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/tlsctx"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// An Attempt is the use of one upstream connection for one request. It is the
// caller's until Release, Close or Abort, after which it must not be touched: it
// may already serve another request.
type Attempt struct {
	codec.Exchange
	Host     *Host
	Protocol info.Protocol
	Reused   bool // the connection has carried a request before

	// set when opened, never changed
	client *h1.Client
	sock   *netio.Socket // below whatever makes it safe
	link   *link
	key    poolKey
	gen    [2]uint32 // of the cluster and the host
	opened time.Time

	// of a shared connection; nil of one that is not
	shared *shared
	stream *h2.ClientStream

	// owned by the caller
	requests uint32
	token    breaker.Token
	reported bool

	gone atomic.Bool // destroyed

	// guarded by the pool's mu
	idle         bool
	since        time.Time
	newer, older *Attempt
}

// end is who ended a connection.
type end uint8

const (
	endLocal end = iota
	endRemote
)

func (a *Attempt) hungUp() bool { return a.sock.HungUp() }

// stale tells whether the connection is of a time before something that ends
// connections: other socket options, an ejection, the end of its namespace.
func (a *Attempt) stale() bool { return a.gen != a.Host.generation() || a.key.namespace.Left() }

func (h *Host) generation() [2]uint32 { return [2]uint32{h.cluster.gen.Load(), h.gen.Load()} }

// begin makes the connection the caller's for one request.
func (a *Attempt) begin(t breaker.Token) {
	a.Reused = a.requests > 0
	a.requests++
	a.token, a.reported = t, false
	st := a.Host.cluster.stats
	st.RqTotal.Inc()
	st.RqActive.Inc()
	a.Host.count.rqTotal.Add(1)
	a.Host.requests.Add(1)
}

func (a *Attempt) finish() {
	a.Host.cluster.stats.RqActive.Dec()
	a.Host.requests.Add(-1)
	if !a.reported {
		a.token.Done(false, false)
	}
	a.token = breaker.Token{}
}

// TLS is what the handshake with the host came to; nil without TLS.
func (a *Attempt) TLS() *tlsctx.State { return a.link.tls }

// ExtendedConnect tells whether the host takes upgrades on the connection (RFC
// 8441). It waits for the host to say so until ctx ends.
func (a *Attempt) ExtendedConnect(ctx context.Context) bool {
	if a.shared == nil {
		return true
	}
	k := a.shared.conn
	k.AwaitSettings(ctx)
	yes, _ := k.ExtendedConnect()
	return yes
}

// LocalAddr is our address on the connection.
func (a *Attempt) LocalAddr() netip.AddrPort { return a.sock.LocalAddr() }

// Report tells what came of the attempt, once; further calls do nothing.
func (a *Attempt) Report(o Outcome) {
	if a.reported {
		return
	}
	a.reported = true
	a.token.Done(o.failed())
	a.Host.Report(o)
}

// Release ends the attempt: the connection goes back to the pool if it can carry
// another exchange, and is closed otherwise.
func (a *Attempt) Release() { a.ReleaseAt(time.Now()) }

// ReleaseAt is Release for who knows what time it is.
func (a *Attempt) ReleaseAt(now time.Time) {
	if a.shared != nil {
		a.leave(now)
		return
	}
	a.finish()
	reusable := a.client.Settle()
	c := a.Host.cluster
	cfg := c.cfg.Load()
	switch {
	case a.hungUp():
		a.destroy(endRemote)
	case !reusable, a.stale():
		a.destroy(endLocal)
	case cfg.HTTP.MaxRequestsPerConn > 0 && a.requests >= cfg.HTTP.MaxRequestsPerConn:
		c.stats.CxMaxRequests.Inc()
		a.destroy(endLocal)
	case cfg.HTTP.MaxConnDuration > 0 && now.Sub(a.opened) >= cfg.HTTP.MaxConnDuration:
		c.stats.CxMaxDuration.Inc()
		a.destroy(endLocal)
	default:
		high := a.key.high // once in the pool, the attempt is anybody's
		if !a.Host.idle.push(a, now) {
			a.destroy(endLocal)
			return
		}
		c.pump(high)
	}
}

// Close ends the attempt and its connection.
func (a *Attempt) Close() error {
	if a.shared != nil {
		a.leave(time.Now())
		return nil
	}
	a.finish()
	c := a.Host.cluster
	c.stats.CxDestroyWithRq.Inc()
	if a.hungUp() {
		c.stats.CxDestroyRemoteRq.Inc()
		a.destroy(endRemote)
		return nil
	}
	c.stats.CxDestroyLocalRq.Inc()
	a.destroy(endLocal)
	return nil
}

// Abort ends the attempt and resets its connection.
func (a *Attempt) Abort() {
	if a.shared != nil {
		a.leave(time.Now())
		return
	}
	a.finish()
	c := a.Host.cluster
	c.stats.CxDestroyWithRq.Inc()
	by := endLocal
	if a.hungUp() {
		by = endRemote
		c.stats.CxDestroyRemoteRq.Inc()
	} else {
		c.stats.CxDestroyLocalRq.Inc()
	}
	if a.gone.Swap(true) {
		return
	}
	a.forget()
	_ = a.client.Abort()
	c.closed(a.Host, a.key.high, by, a.opened)
	c.stats.RqPerCx.Record(uint64(a.requests))
}

// destroy closes the connection of an attempt that is nobody's.
func (a *Attempt) destroy(by end) {
	if a.gone.Swap(true) {
		return
	}
	a.forget()
	_ = a.client.Close() // nothing is waiting to be written that anybody wants
	a.Host.cluster.closed(a.Host, a.key.high, by, a.opened)
	a.Host.cluster.stats.RqPerCx.Record(uint64(a.requests))
}

func (a *Attempt) forget() {
	if w := a.Host.cluster.m.o.Watcher; w != nil {
		w.Forget(a.sock)
	}
}

// onHangup is the Watcher's callback: an idle connection goes at once, one in use
// when it is released.
func (a *Attempt) onHangup() {
	if a.Host.idle.remove(a) {
		a.destroy(endRemote)
	}
}

// closed counts the end of a connection and gives its place to who waits.
func (c *Cluster) closed(h *Host, high bool, by end, opened time.Time) {
	st := c.stats
	st.CxActive.Dec()
	st.CxDestroy.Inc()
	if by == endRemote {
		st.CxDestroyRemote.Inc()
	} else {
		st.CxDestroyLocal.Inc()
	}
	st.CxLengthMs.Record(uint64(time.Since(opened).Milliseconds()))
	c.giveSlot(h, high)
}

// destroyKeepingSlot closes an idle connection whose place another takes at once.
func (a *Attempt) destroyKeepingSlot() {
	if a.gone.Swap(true) {
		return
	}
	a.forget()
	_ = a.client.Close()
	st := a.Host.cluster.stats
	st.CxActive.Dec()
	st.CxDestroy.Inc()
	st.CxDestroyLocal.Inc()
	st.CxLengthMs.Record(uint64(time.Since(a.opened).Milliseconds()))
	st.RqPerCx.Record(uint64(a.requests))
}
