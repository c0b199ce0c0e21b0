package upstream

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/codec/h1"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// OpenHTTP gives a connection to the host for one request: an idle one, a new
// one, or — when max_connections are open — the next that comes free, for which it
// waits in a queue bounded by max_pending_requests. It waits no longer than
// o.Deadline and ctx allow, and dials no longer than the cluster's connect timeout.
// With an idle connection it makes no system call and allocates nothing. What
// fails is reported to outlier detection here.
func (c *Cluster) OpenHTTP(ctx context.Context, h *Host, o *OpenInfo) (*Attempt, *Error) {
	if c.removed.Load() {
		return nil, ErrRemoved
	}
	var t breaker.Token
	if b := h.breaker.Load(); b != nil {
		var err error
		if t, err = b.Allow(); err != nil {
			c.stats.HalfOpen.Rejected.Inc()
			return nil, &Error{Op: "open", Host: h.Address(), Flag: info.UpstreamOverflow, Details: DetailsBreakerOpen, Another: true, Err: err}
		}
	}
	key := keyFor(o)
	var a *Attempt
	var failure Failure
	var err *Error
	if c.shares(h, o) {
		a, failure, err = c.openShared(ctx, h, o, key, t)
	} else {
		if !o.Fresh {
			a = c.idle(h, &key)
		}
		if a == nil {
			a, failure, err = c.fresh(ctx, h, o, key)
		}
		if a != nil {
			a.begin(t)
		}
	}
	if err != nil {
		out := Outcome{Failure: failure}
		t.Done(out.failed())
		h.report(out)
		return nil, err
	}
	return a, nil
}

// shares tells whether requests to the host share connections: whether HTTP/2 is
// spoken, or may be as far as is known.
func (c *Cluster) shares(h *Host, o *OpenInfo) bool {
	switch c.cfg.Load().HTTP.Protocol {
	case cluster.HTTP2:
		return true
	case cluster.LikeDownstream:
		return o.HTTP2
	case cluster.ByALPN:
		return !h.speaksHTTP1.Load() && c.transport(h) != nil
	}
	return false
}

// idle takes an idle connection that is still good.
func (c *Cluster) idle(h *Host, key *poolKey) *Attempt {
	for {
		a := h.idle.pop(key)
		if a == nil {
			return nil
		}
		switch {
		case a.hungUp(): // the Watcher is on its way to the pool
			a.destroy(endRemote)
		case a.stale():
			a.destroy(endLocal)
		case !a.link.quiet():
			// It spoke or left without being asked: a response to nobody would be
			// taken for the answer to the next request (response splitting).
			a.destroy(endRemote)
		default:
			return a
		}
	}
}

// fresh opens a connection, or waits for one.
func (c *Cluster) fresh(ctx context.Context, h *Host, o *OpenInfo, key poolKey) (*Attempt, Failure, *Error) {
	l, st := c.limits(o.High), c.stats
	if !l.pending.take() {
		st.RqPendingOverflow.Inc()
		return nil, Cancelled, l.pending.error()
	}
	st.RqPendingTotal.Inc()
	st.RqPendingActive.Inc()
	defer func() {
		l.pending.give()
		st.RqPendingActive.Dec()
	}()
	if l.waiters.n.Load() > 0 || !c.takeSlot(h, l) {
		st.CxOverflow.Inc()
		a, slot, err := c.wait(ctx, h, key, o.Deadline)
		switch {
		case err != nil:
			return nil, Cancelled, c.waitError(ctx, h, l, err)
		case a != nil && !o.Fresh && !a.hungUp():
			return a, None, nil
		case a != nil:
			// Its place is kept: the new connection takes it.
			a.destroyKeepingSlot()
		case !slot:
			return nil, Cancelled, l.connections.error()
		}
	}
	gen := h.generation() // before the options are read
	s, failure, err := c.dial(ctx, h, o, false)
	if err != nil {
		return nil, failure, err
	}
	return c.exclusive(h, s, key, gen)
}

// exclusive makes the connection one that carries one request at a time.
func (c *Cluster) exclusive(h *Host, s *link, key poolKey, gen [2]uint32) (*Attempt, Failure, *Error) {
	k := h1.NewClient(s.conn, c.m.clientOptions(c.cfg.Load()))
	a := &Attempt{Exchange: k, Host: h, Protocol: info.HTTP11, client: k, sock: s.sock, link: s, key: key, gen: gen, opened: time.Now()}
	c.stats.CxHTTP1Total.Inc()
	if w := c.m.o.Watcher; w != nil {
		if err := w.Add(s.sock, a.onHangup); err != nil {
			a.destroy(endLocal)
			return nil, Cancelled, &Error{Op: "watch", Host: h.Address(), Flag: info.UpstreamConnectionFailure, Details: DetailsLocalFailure, Err: err}
		}
	}
	return a, None, nil
}

// dial opens a connection to the host, through the handshake of its transport socket,
// within the slot the caller has taken, which it gives back when it fails.
func (c *Cluster) dial(ctx context.Context, h *Host, o *OpenInfo, raw bool) (*link, Failure, *Error) {
	cfg, st, start := c.cfg.Load(), c.stats, time.Now()
	opts := c.m.dialOptions(cfg, o)
	opts.Deadline = start.Add(cfg.ConnectTimeout)
	late := false // the request's deadline comes first
	if cfg.ConnectTimeout <= 0 || !o.Deadline.IsZero() && o.Deadline.Before(opts.Deadline) {
		opts.Deadline, late = o.Deadline, true
	}
	st.CxTotal.Inc()
	st.CxActive.Inc()
	h.count.cxTotal.Add(1)
	to := h.Address()
	var s *netio.Socket
	var err error
	if h.pipe != "" {
		s, err = dialUnix(h.pipe, &opts)
	} else {
		// Without ctx: waiting for its end would start a goroutine, and a connection
		// that comes too late for this request is good for the next.
		wait := ctx
		if !o.Abortable {
			wait = undying{ctx}
		}
		s, err = netio.Dial(wait, to, opts)
	}
	if err == nil {
		var l *link
		if l, err = c.secure(cfg, h, o, s, opts.Deadline, raw); err == nil {
			st.CxConnectMs.Record(uint64(time.Since(start).Milliseconds()))
			return l, None, nil
		}
	}
	st.CxActive.Dec()
	failure, e := c.dialError(ctx, h, to, err, late)
	c.giveSlot(h, o.High)
	return nil, failure, e
}

// undying is a context that does not end.
type undying struct{ context.Context }

// Done implements context.Context.
func (undying) Done() <-chan struct{} { return nil }

// dialError tells what kind of failure err is, and counts it.
func (c *Cluster) dialError(ctx context.Context, h *Host, to netip.AddrPort, err error, late bool) (Failure, *Error) {
	st := c.stats
	e := &Error{Op: "connect", Host: to, Flag: info.UpstreamConnectionFailure, Err: err}
	switch {
	case ctx.Err() != nil:
		e.Flag, e.Details = info.DownstreamConnectionTermination, DetailsDownstreamAborted
		return Cancelled, e
	case errors.Is(err, os.ErrDeadlineExceeded) && late:
		e.Flag, e.Details = info.UpstreamRequestTimeout, DetailsResponseTimeout
		return Timeout, e
	case errors.Is(err, os.ErrDeadlineExceeded):
		st.CxConnectTimeout.Inc()
		st.CxConnectFail.Inc()
		h.count.cxConnectFail.Add(1)
		e.Details = DetailsConnectTimeout
		return ConnectTimeout, e
	}
	st.CxConnectFail.Inc()
	h.count.cxConnectFail.Add(1)
	if ours(err) {
		e.Details = DetailsLocalFailure
		st.BindErrors.Inc()
		return Cancelled, e // says nothing about the host
	}
	e.Details = DetailsConnectFailure
	return ConnectFail, e
}

// ours tells whether it was our side that could not connect.
func ours(err error) bool {
	for _, e := range []error{unix.EADDRNOTAVAIL, unix.EADDRINUSE, unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EPERM, unix.EACCES, unix.EAFNOSUPPORT, unix.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// waitError is why the queue was left.
func (c *Cluster) waitError(ctx context.Context, h *Host, l *limits, err error) *Error {
	e := &Error{Op: "wait for connection", Host: h.Address(), Flag: info.UpstreamRequestTimeout, Details: DetailsResponseTimeout}
	if ctx.Err() != nil {
		e.Flag, e.Details, e.Err = info.DownstreamConnectionTermination, DetailsDownstreamAborted, err
		return e
	}
	e.Err = errors.Join(l.connections.error().Err, err)
	return e
}

func (m *Manager) dialOptions(cfg *cluster.Cluster, o *OpenInfo) netio.DialOptions {
	d := netio.DialOptions{Source: o.Source, Transparent: o.Transparent, Mark: o.Mark, Namespace: o.Namespace, Freebind: cfg.BindFreebind, Loops: m.o.Loops, Loop: o.Loop}
	if d.Mark == 0 {
		d.Mark = m.o.OwnMark
	}
	if !d.Source.Addr().IsValid() && cfg.Bind.IsValid() {
		d.Source = netip.AddrPortFrom(cfg.Bind, 0)
	}
	if k := cfg.KeepAlive; k != nil {
		d.KeepAlive, d.KeepIdle, d.KeepIntvl, d.KeepProbes = true, k.Time, k.Interval, int(k.Probes)
	}
	return d
}

func (m *Manager) clientOptions(cfg *cluster.Cluster) h1.ClientOptions {
	return h1.ClientOptions{
		Limits:    h1.Limits{MaxHead: int(cfg.HTTP.MaxResponseHeaderKB) << 10, MaxFields: int(cfg.HTTP.MaxHeaders)},
		WriteIdle: m.o.WriteIdle,
		Tick:      m.o.Tick,
	}
}

// dialUnix connects to a unix socket, which either works at once or not at all.
func dialUnix(path string, o *netio.DialOptions) (*netio.Socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "connect", Path: path, Err: err}
	}
	return o.Loops.NewSocket(fd, netip.AddrPort{}, netip.AddrPort{}, o.Loop)
}
