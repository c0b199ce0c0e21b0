package h2

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/header"
)

const (
	// outputFull is how many bytes of frames may wait before bodies have to: one write
	// of that size keeps a socket busy while the next is collected.
	outputFull = 64 << 10
	// flushRounds is how often one stream's goroutine writes for all before it hands
	// over: it has work of its own.
	flushRounds = 8
)

// output is what goes to the peer: frames are collected in next, and one goroutine
// at a time writes what was collected, in current. All guarded by core's mutex,
// but that current's bytes are the flusher's.
type output struct {
	c *core
	w *http2.Framer // writes to next

	next, current batch
	flushing      bool
	flusher       *half  // whose goroutine writes; nil when it is one for that alone
	leave         bool   // the flusher is to hand over
	guarded       bool   // the connection's write deadline is set
	err           error  // the first write error
	closing       bool   // our direction ends once everything is written
	queued        uint64 // bytes ever put into next
	sent          uint64 // bytes handed to the system

	blocked waiting   // streams that wait for room, or for the connection's window
	drained sync.Cond // nothing waits any more, or never will be written
	detach  func()    // flushApart, made once
}

// batch is a run of frames and how many there are.
type batch struct {
	small   buffer.Buf
	large   *[]byte
	b       []byte
	off     int // what was written of it
	frames  int
	control int
}

func (o *output) init(c *core) {
	o.c = c
	o.w = http2.NewFramer(o, nil)
	o.detach = o.flushApart
	o.drained.L = &c.mu
}

// Write takes a frame from the Framer.
func (o *output) Write(p []byte) (int, error) {
	o.room(len(p))
	o.next.b = append(o.next.b, p...)
	o.queued += uint64(len(p))
	return len(p), nil
}

// room makes sure that n bytes can be appended to next without allocating, unless
// they are more than a large block holds.
func (o *output) room(n int) {
	t := &o.next
	need := len(t.b) + n
	switch {
	case need <= cap(t.b):
	case t.b == nil && need <= buffer.Block:
		t.b = t.small.Space(buffer.Block)[:0]
	case t.large == nil && need <= buffer.Large:
		t.large = buffer.GetLarge()
		t.b = append((*t.large)[:0], t.b...)
		t.small.Discard()
	}
}

// free gives a batch's memory back.
func (t *batch) free() {
	t.small.Discard()
	if t.large != nil {
		buffer.PutLarge(t.large)
	}
	*t = batch{}
}

// frame begins a frame by hand: bodies and field blocks are not copied twice.
func (o *output) frame(n int, typ http2.FrameType, flags http2.Flags, id uint32) {
	o.room(9 + n)
	o.next.b = append(o.next.b, byte(n>>16), byte(n>>8), byte(n), byte(typ), byte(flags),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	o.queued += uint64(9 + n)
	o.next.frames++
}

// data appends a DATA frame.
func (o *output) data(id uint32, p []byte, end bool) {
	var flags http2.Flags
	if end {
		flags = http2.FlagDataEndStream
	}
	o.frame(len(p), http2.FrameData, flags, id)
	o.next.b = append(o.next.b, p...)
	o.c.dataSent++
	o.count(false)
}

// headers appends a field block: HEADERS, and CONTINUATION as the peer's frame size
// demands.
func (o *output) headers(id uint32, h *header.Headers, kind fields.Kind, end bool) {
	var flags http2.Flags
	if end {
		flags = http2.FlagHeadersEndStream
	}
	start := len(o.next.b)
	o.frame(0, http2.FrameHeaders, flags, id)
	o.room(h.Size() + 8*h.Len())
	o.next.b = o.c.enc.Append(o.next.b, h, kind)
	block := o.next.b[start+9:]
	o.queued += uint64(len(block))
	limit := o.c.peer.frame
	if len(block) <= limit {
		setFrame(o.next.b[start:], len(block), flags|http2.FlagHeadersEndHeaders)
		o.count(false)
		return
	}
	rest := append([]byte(nil), block[limit:]...) // rare: heads this long are
	o.next.b = o.next.b[:start+9+limit]
	o.queued -= uint64(len(rest))
	setFrame(o.next.b[start:], limit, flags)
	for len(rest) > 0 {
		n := min(len(rest), limit)
		var last http2.Flags
		if n == len(rest) {
			last = http2.FlagContinuationEndHeaders
		}
		o.frame(n, http2.FrameContinuation, last, id)
		o.next.b = append(o.next.b, rest[:n]...)
		rest = rest[n:]
	}
	o.count(false)
}

// interim appends a head that is the same every time.
func (o *output) interim(id uint32, block []byte) {
	o.frame(len(block), http2.FrameHeaders, http2.FlagHeadersEndHeaders, id)
	o.next.b = append(o.next.b, block...)
	o.count(false)
}

func setFrame(b []byte, n int, flags http2.Flags) {
	b[0], b[1], b[2], b[4] = byte(n>>16), byte(n>>8), byte(n), byte(flags)
}

// The Framer cannot fail here: it writes to memory what we know to be right.

func (o *output) settings(s []http2.Setting) {
	_ = o.w.WriteSettings(s...)
	o.count(true)
}

func (o *output) settingsAck() {
	_ = o.w.WriteSettingsAck()
	o.count(true)
}

func (o *output) ping(ack bool, data [8]byte) {
	_ = o.w.WritePing(ack, data)
	o.count(true)
}

func (o *output) rst(id uint32, code http2.ErrCode) {
	o.c.st.TxReset.Inc()
	_ = o.w.WriteRSTStream(id, code)
	o.count(true)
}

func (o *output) windowUpdate(id, n uint32) {
	_ = o.w.WriteWindowUpdate(id, n)
	o.next.frames++
	o.count(false)
}

func (o *output) goAway(last uint32, code http2.ErrCode, debug string) {
	o.c.st.GoAwaySent.Inc()
	_ = o.w.WriteGoAway(last, code, []byte(debug))
	o.next.frames++
}

// count notes a frame in next and ends a connection whose peer makes us pile up
// frames that it does not take.
func (o *output) count(control bool) {
	c := o.c
	if control {
		o.next.frames++
		o.next.control++
	}
	n, k := o.next.frames+o.current.frames, o.next.control+o.current.control
	switch {
	case c.err != nil:
	case c.o.MaxOutboundControlFrames > 0 && k > c.o.MaxOutboundControlFrames:
		c.abort(flood(c.st.OutboundControlFlood, "too many control frames in the outbound queue").(*ConnError))
	case c.o.MaxOutboundFrames > 0 && n > c.o.MaxOutboundFrames:
		c.abort(flood(c.st.OutboundFlood, "too many frames in the outbound queue").(*ConnError))
	}
}

// full tells whether bodies have to wait.
func (o *output) full() bool { return len(o.next.b) >= outputFull }

// pending tells whether anything waits to be written by somebody.
func (o *output) pending() bool { return len(o.next.b) > 0 || o.current.b != nil }

// kick makes sure that what waits is written by a goroutine for that alone. The
// lock is held.
func (o *output) kick() {
	if !o.flushing && o.pending() && o.err == nil {
		o.flushing = true
		go o.detach()
	}
}

// flush writes what waits unless somebody does already; s is the stream on whose
// goroutine that is. The lock is held, and freed while writing. It does not tell
// of errors: the streams hear of them.
func (o *output) flush(s *half) {
	if o.flushing || !o.pending() || o.err != nil {
		return
	}
	o.flushing, o.flusher, o.leave = true, s, false
	o.c.timer.by(s.rdl)
	o.c.unlock()
	runtime.Gosched() // others may have something to add
	o.c.mu.Lock()
	o.run()
}

// flushApart is the goroutine that writes when no stream's goroutine may.
func (o *output) flushApart() {
	o.c.mu.Lock()
	o.run()
	o.c.unlock()
}

// run writes until nothing waits. A stream's goroutine hands over when it has
// written for others long enough, or is to leave.
func (o *output) run() {
	for round := 0; ; round++ {
		if o.flusher != nil && (o.leave || round == flushRounds) && o.pending() && o.err == nil {
			o.leave, o.flusher = false, nil
			go o.detach()
			return
		}
		if o.current.b == nil {
			if len(o.next.b) == 0 || o.err != nil {
				break
			}
			o.current, o.next = o.next, batch{}
			o.wakeBlocked(blockedAtOnce)
		}
		o.writeCurrent()
	}
	o.next.free()
	o.flushing, o.flusher, o.leave = false, nil, false
	if o.closing {
		_ = o.c.conn.CloseWrite()
	}
	o.wakeBlocked(blockedAtOnce)
	o.broadcast()
}

// writeCurrent writes the rest of current outside the lock. It comes back early,
// with some of it left, when the flusher is to leave.
func (o *output) writeCurrent() {
	c, idle := o.c, o.c.o.WriteIdle
	if idle > 0 && !o.guarded {
		o.guarded = true
		_ = c.conn.SetWriteDeadline(time.Now().Add(idle))
	}
	var stall time.Time
	for {
		b := o.current.b[o.current.off:]
		c.unlock()
		n, err := c.conn.Write(b)
		c.mu.Lock()
		o.current.off += n
		o.sent += uint64(n)
		if err == nil {
			o.current.free()
			return
		}
		if isTimeout(err) && c.err == nil {
			// The deadline was armed long ago, or somebody wants the flusher to leave.
			now := time.Now()
			if n > 0 || stall.IsZero() {
				stall = now.Add(idle)
			}
			o.guarded = false
			if idle == 0 || now.Before(stall) {
				at := stall
				if idle == 0 {
					at = time.Time{}
				}
				o.guarded = idle > 0
				_ = c.conn.SetWriteDeadline(at)
				if o.leave && o.flusher != nil {
					return
				}
				continue
			}
			c.st.TxFlushTimeout.Inc()
		}
		o.broke(err)
		return
	}
}

// broke notes that nothing can be written any more.
func (o *output) broke(err error) {
	o.err = err
	o.current.free()
	o.next.free()
	c := o.c
	if isTimeout(err) && c.err == nil {
		c.fail(err)
		return
	}
	// What the peer sent before it left may still be read, for a moment.
	c.table.each(func(s *half) {
		if s.werr == nil {
			s.werr = &codec.ResetError{Code: uint32(http2.ErrCodeCancel), Unprocessed: c.client && !s.left(), Reason: reasonTermination}
		}
		s.wcond.Broadcast()
	})
	if c.err == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(lastRead))
	}
}

// lastRead is how long a connection is read that cannot be written to.
const lastRead = time.Second

// leaveFor makes a flusher hand over because its stream has something more urgent.
// The lock is held.
func (o *output) leaveFor(s *half) {
	if o.flushing && o.flusher == s && !o.leave {
		o.leave = true
		_ = o.c.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

// broadcast wakes who waits for the output to be written whole.
func (o *output) broadcast() { o.drained.Broadcast() }
