package h2

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/netio"
)

// ClientEvents are what a ClientConn tells its pool, without locks held, on any
// goroutine. nil functions are not called.
type ClientEvents struct {
	OnCapacity func()          // streams ended, or the server allows more: Open may succeed
	OnGoAway   func()          // no further streams can be opened
	OnClose    func(err error) // the connection is over
}

// A ClientConn is the upstream half of a connection, shared by many exchanges.
type ClientConn struct {
	core

	// set in NewClientConn, never changed
	ev   ClientEvents
	done chan struct{}
	said chan struct{} // closed when the server's SETTINGS have come

	// owned by the reading goroutine
	buf buffer.Buf

	// guarded by mu
	draining bool
	leaving  bool      // OnGoAway is to be called
	quiet    time.Time // since when there is no stream
	spare    spares[*ClientStream]
}

// NewClientConn sends the preface on c, which it owns from then on, and reads on a
// goroutine of its own, which ends with the connection.
func NewClientConn(c netio.Conn, o *Options, st *Stats, ev ClientEvents) (*ClientConn, error) {
	k := &ClientConn{ev: ev, done: make(chan struct{}), said: make(chan struct{})}
	k.init(c, &k.buf, o, st, k, true)
	k.mu.Lock()
	_, _ = k.out.Write([]byte(http2.ClientPreface))
	k.settings()
	k.out.kick()
	k.keep.start(&k.core)
	k.quiet = time.Now()
	k.unlock()
	go k.run()
	return k, nil
}

func (k *ClientConn) run() {
	err := k.serve(nil)
	k.mu.Lock()
	_ = k.conn.SetWriteDeadline(time.Now().Add(lastRead))
	k.out.guarded = true
	k.out.kick()
	for k.out.flushing {
		k.out.drained.Wait()
	}
	k.unlock()
	_ = k.conn.Close()
	k.buf.Discard()
	if k.ev.OnClose != nil {
		k.ev.OnClose(err)
	}
	close(k.done)
}

// Done is closed when the connection is over.
func (k *ClientConn) Done() <-chan struct{} { return k.done }

// Conn gives the connection's addresses and the like; its bytes are not the caller's.
func (k *ClientConn) Conn() netio.Conn { return k.conn }

// limit is how many streams there may be. The lock is held.
func (k *ClientConn) limit() int {
	return int(min(k.peer.maxStreams, k.o.MaxConcurrentStreams))
}

// usable tells whether streams can be opened at all.
func (k *ClientConn) usable() bool {
	return k.err == nil && k.out.err == nil && !k.goneAway && !k.draining && k.maxID < maxStream-2*uint32(k.active)-2
}

// Open reserves a stream: ErrNoCapacity when there are too many, ErrGoingAway when
// there will be no more.
func (k *ClientConn) Open() (*ClientStream, error) {
	k.mu.Lock()
	defer k.unlock()
	switch {
	case !k.usable():
		return nil, ErrGoingAway
	case k.active >= k.limit():
		return nil, ErrNoCapacity
	}
	x := k.newStream()
	x.s.count()
	return x, nil
}

// Active is the number of streams, those reserved included.
func (k *ClientConn) Active() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.active
}

// Capacity is how many streams can be opened now.
func (k *ClientConn) Capacity() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.usable() {
		return 0
	}
	return max(k.limit()-k.active, 0)
}

// Usable tells whether streams can be opened, now or later.
func (k *ClientConn) Usable() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.usable()
}

// ExtendedConnect tells whether the server takes extended CONNECT (RFC 8441); known
// is false until its SETTINGS have come.
func (k *ClientConn) ExtendedConnect() (yes, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.peer.connect, k.peer.seen
}

// AwaitSettings waits until the server's SETTINGS have come, the connection is over,
// or ctx ends; it tells whether they have.
func (k *ClientConn) AwaitSettings(ctx context.Context) bool {
	select {
	case <-k.said:
		return true
	default:
	}
	select {
	case <-k.said:
		return true
	case <-k.done:
	case <-ctx.Done():
	}
	return false
}

// BytesIn is how many bytes came.
func (k *ClientConn) BytesIn() uint64 {
	in, _ := k.bytes()
	return in
}

// BytesOut is how many bytes were handed to the system.
func (k *ClientConn) BytesOut() uint64 {
	_, out := k.bytes()
	return out
}

// errClosed is why a connection is over that Close ended.
var errClosed = errors.New("connection closed by us")

// Close ends the connection and what is on it.
func (k *ClientConn) Close() {
	k.mu.Lock()
	if k.err == nil {
		k.out.goAway(0, http2.ErrCodeNo, "")
		k.fail(errClosed)
	}
	k.unlock()
}

// Drain closes the connection when its streams are over.
func (k *ClientConn) Drain() {
	k.mu.Lock()
	k.draining = true
	k.note = true
	k.unlock()
}

// notify implements side.
func (k *ClientConn) notify() {
	k.mu.Lock()
	if k.err == nil && k.active == 0 && (k.goneAway || k.draining) {
		k.out.goAway(0, http2.ErrCodeNo, "")
		k.fail(ErrDrained)
	}
	leaving, usable := k.leaving, k.usable()
	k.leaving = false
	k.note = false
	k.mu.Unlock()
	if leaving && k.ev.OnGoAway != nil {
		k.ev.OnGoAway()
	}
	if usable && k.ev.OnCapacity != nil {
		k.ev.OnCapacity()
	}
}

// unused, settled, woken, pong and due implement side.
func (k *ClientConn) unused() {
	if k.o.Keepalive.IdleInterval > 0 {
		k.quiet = time.Now()
	}
}

func (k *ClientConn) settled() { close(k.said) }
func (k *ClientConn) woken()   {}
func (k *ClientConn) pong()    {}

func (k *ClientConn) due(now time.Time) time.Time {
	return k.spare.due(now, func(*ClientStream) {})
}

// goAway implements side: streams above the last were not looked at.
func (k *ClientConn) goAway(last uint32, code http2.ErrCode, debug []byte) error {
	k.mu.Lock()
	defer k.unlock()
	k.goneAway, k.leaving, k.note = true, true, true
	k.table.each(func(s *half) {
		if s.id > last {
			k.reset(s, remoteReset(http2.ErrCodeRefusedStream))
		}
	})
	return nil
}

// block implements side: a response's head, or its trailers.
func (k *ClientConn) block(id uint32, b []byte, end, _ bool) error {
	k.mu.Lock()
	if k.idle(id) {
		k.mu.Unlock()
		return connError(http2.ErrCodeProtocol, "HEADERS on an idle stream")
	}
	s := k.table.get(id)
	if s == nil {
		how := k.closed.how(id)
		k.mu.Unlock()
		return k.strayBlock(id, b, how, false)
	}
	x := s.x
	ended, final, head, connect := s.ended, x.final, x.head, x.connect
	k.mu.Unlock()
	if ended || final {
		return k.trailersFor(id, b, end, ended, false)
	}
	k.fields.Reset()
	k.msg = fields.Message{}
	if err := k.dec.Response(b, &k.fields, &k.o.Fields, &k.msg); err != nil {
		return k.malformed(id, err)
	}
	code := k.msg.Code
	if code < 200 && end {
		return &streamError{id, http2.ErrCodeProtocol, errInterim}
	}
	k.mu.Lock()
	defer k.unlock()
	if s = k.table.get(id); s == nil {
		return nil
	}
	if !s.x.put(&k.fields, code) {
		return &streamError{id, http2.ErrCodeEnhanceYourCalm, errManyInterim}
	}
	if code >= 200 {
		s.x.final = true
		switch {
		case connect && code < 300:
		case head, code == 204, code == 304:
			s.declared = 0
		default:
			s.declared = k.msg.ContentLength
		}
	}
	s.rcond.Broadcast()
	if end {
		return s.end()
	}
	return nil
}
