package listener

import (
	"errors"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
)

// A session is one connection while the listener has it.
type session struct {
	// owned by the serving goroutine
	*conn.Conn
	g       *generation
	started time.Time
	given   bool // another listener accepted it
	shard   *shard

	raw *netio.Socket // set in start, never changed, like at
	at  *socket       // which accepted it

	ends []filters.ConnectionEnd // owned by the serving goroutine: filters that saw it

	chain      atomic.Pointer[chain]
	prev, next *session // guarded by shard.mu
}

// A shard is the connections of one worker.
type shard struct {
	mu    sync.Mutex
	first *session // guarded by mu
	_     [48]byte // the next shard is another worker's
}

func (sh *shard) add(s *session) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.next = sh.first; s.next != nil {
		s.next.prev = s
	}
	sh.first = s
}

func (sh *shard) remove(s *session) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		sh.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// each calls f for every connection; f does not block.
func (l *Listener) each(f func(*session)) {
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for s := sh.first; s != nil; s = s.next {
			f(s)
		}
		sh.mu.Unlock()
	}
}

// start gives an accepted connection its goroutine.
func (l *Listener) start(at *socket, io *netio.Socket, limit *Limit) {
	s := &session{raw: io, at: at, shard: at.shard, started: time.Now()}
	l.serving.Add(1)
	l.active.Add(1)
	go func() {
		s.Conn = conn.New(io)
		s.Loop = io.Loop()
		s.Namespace = at.upstream
		i := &s.Info
		i.ID = l.o.IDs.Add(1)
		i.Start = s.started
		i.DirectSource = s.RemoteAddr()
		i.Source = i.DirectSource
		i.Local = s.LocalAddr()
		i.Dest = i.Local
		i.Intercepted = at.wildcard && i.Local.Port() != at.addr.Port()
		next := l.serve(s)
		l.serving.Done()
		if next != nil {
			s.shard = &next.shards[int(i.ID%uint64(len(next.shards)))]
			next.serve(s)
			next.serving.Done()
		}
		limit.release()
	}()
}

// serve takes a connection through its life, or to the listener that it must be
// served by. What panics on the way ends this connection only.
func (l *Listener) serve(s *session) (next *Listener) {
	l.enter(s)
	defer func() {
		if p := recover(); p != nil {
			l.stats.Panic.Inc()
			l.log.Error("panic while serving a connection", zap.Uint64("connection", s.Info.ID), zap.Stringer("source", s.Info.Source),
				zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			_ = s.Reset()
			l.o.Flows.Abandon(s.Info.ID)
		}
		l.leave(s, next != nil)
	}()
	if !l.inspect(s) {
		return nil
	}
	if next = l.handOver(s); next != nil {
		return next
	}
	if !l.checkName(s) {
		return nil
	}
	c := l.choose(s)
	if c == nil {
		return nil
	}
	n := c.now.Load()
	if n.missing {
		l.stats.NetworkConfigMissing.Inc()
		s.Info.Flags |= info.NoFilterConfig
		s.Info.Details = "network_filter_config_missing"
		return nil
	}
	if _, ok := n.terminal.(filters.AheadOpener); s.Ahead != nil && !ok {
		s.Ahead.Discard() // who serves the connection does not want it
	}
	if !s.admit(n) || c.tls != nil && !l.secure(s, c) || !s.show(n) {
		return nil
	}
	if err := n.terminal.ServeConn(s.Conn); err != nil {
		l.log.Debug("connection ended", zap.Uint64("connection", s.Info.ID), zap.Error(err))
	}
	return nil
}

// enter makes the connection one of this listener's.
func (l *Listener) enter(s *session) {
	s.g = l.current.Load()
	s.Info.Listener = s.g.m.Name
	s.Conn.Context = l.ctx
	l.stats.CxTotal.Inc()
	l.stats.CxActive.Inc()
	s.shard.add(s)
	if l.closed.Load() {
		// Close looked for connections before this one was here.
		_ = s.raw.Close()
	}
	if l.draining.Load() {
		s.StartDrain()
	} else if l.retired.Load() != nil {
		s.EndSoon()
	}
}

// leave records the end of a connection and closes it, or only forgets it when it
// goes to another listener.
func (l *Listener) leave(s *session, given bool) {
	s.shard.remove(s)
	defer l.active.Add(-1)
	l.stats.CxActive.Dec()
	l.stats.CxDestroy.Inc()
	if given {
		return
	}
	l.o.Loops.Ended(s.Loop)
	l.giveBack(s)
	if s.Ahead != nil {
		if !s.Ahead.Taken() {
			l.stats.AheadUnused.Inc()
		}
		s.Ahead.Discard()
	}
	_ = s.Close() // closed already when it was reset
	s.In.Discard()
	s.Info.End = time.Now()
	if s.Info.NameCheck != info.NameUnchecked {
		l.countName(s)
	}
	l.stats.CxLength.Record(uint64(s.Info.End.Sub(s.started).Milliseconds()))
	if s.Killed() {
		s.Info.Details = flows.Killed
	}
	l.o.Flows.Connection(&s.Info, s.Loop)
	for _, a := range s.g.loggers {
		l.note(s, a)
	}
	if c := s.chain.Load(); c != nil {
		c.give()
	}
}

// admit asks the filters that come before the transport socket; false ends the
// connection.
func (s *session) admit(n *network) bool {
	for _, f := range n.admission {
		v := f.OnAccept(s.Conn)
		s.seenBy(f)
		if v == filters.Stop {
			return false
		}
	}
	return true
}

// show lets the network filters see the connection; false ends it.
func (s *session) show(n *network) bool {
	for _, f := range n.filters {
		v := f.OnNewConnection(s.Conn)
		s.seenBy(f)
		if v == filters.Stop {
			return false
		}
	}
	return true
}

// seenBy remembers a filter that wants to know of the end.
func (s *session) seenBy(f any) {
	if e, ok := f.(filters.ConnectionEnd); ok {
		s.ends = append(s.ends, e)
	}
}

// giveBack tells the filters that saw the connection of its end. One that panics
// loses its own count only.
func (l *Listener) giveBack(s *session) {
	for len(s.ends) > 0 {
		last := s.ends[len(s.ends)-1]
		s.ends = s.ends[:len(s.ends)-1]
		l.guard("panic while ending a connection", func() { last.OnConnectionEnd(s.Conn) })
	}
}

// note writes an access log entry; a logger that panics loses it.
func (l *Listener) note(s *session, a filters.AccessLogger) {
	l.guard("panic while logging a connection", func() { a.Log(s.Conn, nil) })
}

// guard keeps a panic of f from going further.
func (l *Listener) guard(what string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			l.stats.Panic.Inc()
			l.log.Error(what, zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	f()
}

// choose finds the filter chain; nil says that the connection is refused.
func (l *Listener) choose(s *session) *chain {
	m := s.g.m.Selector.Select(&s.Info, nil)
	if m == nil {
		s.Info.Flags |= info.NoRoute
		s.Info.Details = "filter_chain_not_found"
		l.stats.NoFilterChainMatch.Inc()
		l.explain(s)
		return nil
	}
	if l.selfDialled(s, m) {
		return nil
	}
	c := s.g.chains[m]
	s.Info.FilterChain = c.label
	c.take()
	s.chain.Store(c)
	if sel := s.g.m.Selector; c.tls != nil && len(s.g.all) > 1 && len(s.Info.ServerName) > 0 {
		s.Conn.Misdirected = func(host []byte) bool { return sel.Misdirected(&s.Info, m, host) }
	}
	s.Reach(conn.Chosen)
	if _, out := c.retiredAt(); out {
		// Update looked for its connections before this one had chosen.
		s.EndSoon()
	}
	return c
}

// defaultTransportTimeout bounds a TLS handshake when
// transport_socket_connect_timeout does not (Envoy waits for ever then).
const defaultTransportTimeout = 10 * time.Second

// secure lets the transport socket take the bytes over.
func (l *Listener) secure(s *session, c *chain) bool {
	d := c.m.ConnectTimeout
	if d == 0 {
		d = defaultTransportTimeout
	}
	err := c.tls.Server(s.Conn, time.Now().Add(d))
	if err == nil {
		s.Reach(conn.Secured)
		s.Preamble = nil // what the client encrypts ends here
		return true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.stats.TransportTimeout.Inc()
	}
	s.Info.Details = "downstream_transport_failure"
	l.log.Debug("transport socket", zap.Uint64("connection", s.Info.ID), zap.Error(err))
	return false
}
