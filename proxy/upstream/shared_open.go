package upstream

import (
	"context"
	"os"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// openShared gives a stream of a shared connection to the host: of one that has
// room, of a new one, or of the next that comes to have room. It begins the attempt.
func (c *Cluster) openShared(ctx context.Context, h *Host, o *OpenInfo, key poolKey, t breaker.Token) (*Attempt, Failure, *Error) {
	p := &h.shared
	if s, st := p.take(&key); s != nil {
		return s.attempt(st, t), None, nil
	}
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
	var late <-chan time.Time
	for {
		p.mu.Lock()
		d := p.dialing[key]
		if d == nil && c.takeSlot(h, l) {
			d = p.begin(key)
			p.mu.Unlock()
			a, failure, err := c.connect(ctx, h, o, key, t, d)
			if a != nil || err != nil {
				return a, failure, err
			}
			if s, st := p.take(&key); s != nil {
				return s.attempt(st, t), None, nil
			}
			continue
		}
		changed := p.await()
		p.mu.Unlock()
		if s, st := p.take(&key); s != nil {
			return s.attempt(st, t), None, nil
		}
		if d == nil && len(p.all()) == 0 {
			// max_connections are open, and all lead elsewhere.
			st.CxOverflow.Inc()
			return nil, Cancelled, l.connections.error()
		}
		if late == nil && !o.Deadline.IsZero() {
			timer := time.NewTimer(time.Until(o.Deadline))
			defer timer.Stop()
			late = timer.C
		}
		var opened <-chan struct{}
		if d != nil {
			opened = d.done
		}
		select {
		case <-opened:
			if d.err != nil {
				return nil, d.failure, d.err
			}
		case <-changed:
		case <-ctx.Done():
			return nil, Cancelled, c.waitError(ctx, h, l, context.Cause(ctx))
		case <-late:
			return nil, Cancelled, c.waitError(ctx, h, l, os.ErrDeadlineExceeded)
		}
		if !c.shares(h, o) {
			// ALPN has settled on HTTP/1.
			a, failure, err := c.fresh(ctx, h, o, key)
			if a != nil {
				a.begin(t)
			}
			return a, failure, err
		}
	}
}

// connect opens a connection within the slot that was taken. Where ALPN settled
// on HTTP/1 it gives an attempt on that; else none, and there is a new shared
// connection to look at.
func (c *Cluster) connect(ctx context.Context, h *Host, o *OpenInfo, key poolKey, t breaker.Token, d *dialing) (*Attempt, Failure, *Error) {
	p := &h.shared
	gen := h.generation() // before the options are read
	link, failure, err := c.dial(ctx, h, o, false)
	if err != nil {
		d.failure, d.err = failure, err
		p.end(key, d, nil)
		return nil, failure, err
	}
	cfg := c.cfg.Load()
	if cfg.HTTP.Protocol == cluster.ByALPN {
		h.speaksHTTP1.Store(link.alpn() != "h2")
		if link.alpn() != "h2" {
			p.end(key, d, nil)
			a, failure, err := c.exclusive(h, link, key, gen)
			if err == nil {
				a.begin(t)
			}
			return a, failure, err
		}
	}
	s := &shared{host: h, key: key, link: link, gen: gen, opened: time.Now()}
	s.quiet.Store(s.opened.UnixNano())
	opts := h2.OptionsOf(&cfg.HTTP.H2)
	opts.Fields = fields.Limits{MaxListSize: cfg.HTTP.MaxResponseHeaderKB << 10, MaxCount: int(cfg.HTTP.MaxHeaders)}
	opts.WriteIdle, opts.Tick = c.m.o.WriteIdle, c.m.o.Tick
	k, herr := h2.NewClientConn(link.conn, &opts, c.http2(), h2.ClientEvents{OnCapacity: s.onCapacity, OnGoAway: s.onGoAway, OnClose: s.onClose})
	if herr != nil {
		_ = link.conn.Close()
		c.closed(h, key.high, endLocal, s.opened)
		d.failure = Reset
		d.err = &Error{Op: "connect", Host: h.Address(), Flag: info.UpstreamConnectionFailure, Details: DetailsConnectFailure, Err: herr}
		p.end(key, d, nil)
		return nil, d.failure, d.err
	}
	s.conn = k
	c.stats.CxHTTP2Total.Inc()
	p.end(key, d, s)
	return nil, None, nil
}

// begin notes that a connection is being opened. p.mu is held.
func (p *sharedPool) begin(key poolKey) *dialing {
	if p.dialing == nil {
		p.dialing = map[poolKey]*dialing{}
	}
	d := &dialing{done: make(chan struct{})}
	p.dialing[key] = d
	return d
}

// end notes what came of it; s is nil when that is no shared connection.
func (p *sharedPool) end(key poolKey, d *dialing, s *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.dialing, key)
	if s != nil && !s.closed {
		l := append(append([]*shared(nil), p.all()...), s)
		p.conns.Store(&l)
	}
	close(d.done)
	p.wakeLocked()
}

// http2Stats fills in the statistics of HTTP/2 when they are first needed.
func http2Stats(scope *stats.Scope) *h2.Stats { return stats.Fill[h2.Stats](scope.Scope("http2")) }
