package upstream

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/tlsctx"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// A TCP is a connection of its own for one downstream connection (tcp_proxy,
// upgrades of raw bytes). Close or Reset gives its place back.
type TCP struct {
	netio.Conn
	Host *Host
	TLS  *tlsctx.State // nil without

	sock *netio.Socket // below Conn

	high     bool
	opened   time.Time
	token    breaker.Token
	reported atomic.Bool
	gone     atomic.Bool
}

// OpenTCP opens a connection to the host for raw bytes. When max_connections are
// open it fails at once, as Envoy's tcp_proxy does. What fails is reported to
// outlier detection here.
func (c *Cluster) OpenTCP(ctx context.Context, h *Host, o *OpenInfo) (*TCP, *Error) {
	if c.removed.Load() {
		return nil, ErrRemoved
	}
	l := c.limits(o.High)
	var t breaker.Token
	if b := h.breaker.Load(); b != nil {
		var err error
		if t, err = b.Allow(); err != nil {
			c.stats.HalfOpen.Rejected.Inc()
			return nil, &Error{Op: "open", Host: h.Address(), Flag: info.UpstreamOverflow, Details: DetailsBreakerOpen, Another: true, Err: err}
		}
	}
	if !c.takeSlot(h, l) {
		c.stats.CxOverflow.Inc()
		t.Done(false, false)
		return nil, l.connections.error()
	}
	c.stats.RqTotal.Inc()
	h.count.rqTotal.Add(1)
	s, failure, err := c.dial(ctx, h, o, true)
	if err != nil {
		out := Outcome{Failure: failure}
		t.Done(out.failed())
		h.report(out)
		return nil, err
	}
	c.stats.RqActive.Inc()
	h.requests.Add(1)
	h.report(Outcome{})
	up := &TCP{Conn: s.conn, TLS: s.tls, sock: s.sock, Host: h, high: o.High, opened: time.Now(), token: t}
	h.raw.add(up)
	return up, nil
}

// tcpConns are the connections for raw bytes to one host.
type tcpConns struct {
	mu  sync.Mutex
	all map[*TCP]struct{} // guarded by mu
}

func (s *tcpConns) add(t *TCP) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*TCP]struct{}{}
	}
	s.all[t] = struct{}{}
}

func (s *tcpConns) remove(t *TCP) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, t)
}

// abort ends both directions of all: reads see the end, writes fail, and whoever
// uses them closes them.
func (s *tcpConns) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.all {
		// A socket that is closed meanwhile does not let us in.
		_ = t.sock.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
}

// Report tells what came of the connection, once: for a host with a half-open
// breaker, whether it was any good. Without a Report a connection that was opened
// counts as good.
func (t *TCP) Report(o Outcome) {
	if !t.reported.Swap(true) {
		t.token.Done(o.failed())
	}
}

// Close ends the connection and gives its place back; further calls do nothing.
func (t *TCP) Close() error {
	if t.gone.Swap(true) {
		return nil
	}
	err := t.Conn.Close()
	t.end()
	return err
}

// Reset is Close with a RST.
func (t *TCP) Reset() error {
	if t.gone.Swap(true) {
		return nil
	}
	err := t.Conn.Reset()
	t.end()
	return err
}

func (t *TCP) end() {
	t.Report(Outcome{})
	c := t.Host.cluster
	t.Host.raw.remove(t)
	c.stats.RqActive.Dec()
	t.Host.requests.Add(-1)
	c.closed(t.Host, t.high, endLocal, t.opened)
}

// RemoteAddr is the host's address as it was dialled.
func (t *TCP) RemoteAddr() netip.AddrPort { return t.Conn.RemoteAddr() }
