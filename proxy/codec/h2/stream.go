package h2

import (
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/header"
)

// A half is what both sides' streams have in common. It is used over and over.
// Everything is guarded by core's mutex, but what says otherwise.
type half struct {
	trailers     header.Headers
	rcond, wcond sync.Cond

	oneLife
}

// oneLife is what a half begins anew with each stream.
type oneLife struct {
	c  *core
	id uint32
	x  *ClientStream // on a client's connection

	listed  bool  // in the table
	counted bool  // in active
	next    *half // in the table's chain

	// receiving
	recv     queue
	given    int   // bytes of recv that the consumer has
	recvWin  int64 // what the peer may send
	unsent   int64 // what was consumed and not yet given back to the peer
	declared int64 // content-length; -1 for none
	got      int64 // bytes of body that came
	ended    bool  // END_STREAM came
	dropped  bool  // recv was credited to the connection: the stream was reset
	trailed  bool  // there are trailers
	rwaits   int
	rdl      time.Time
	late     bool         // it has passed
	woken    bool         // the reader is to call waker
	waker    func() error // set by its owner before it reads
	halted   bool         // reads fail until Resume

	// sending
	sendWin  int64 // what we may send; may be negative (RFC 9113 §6.9.2)
	sentEnd  bool
	bodyless bool // what is written of a body is dropped: HEAD, 204, 304
	wwaits   int
	wdl      time.Time
	wuntil   time.Time // bounds the writes of a tunnel
	stopped  bool
	werr     error  // why nothing more can be written
	headAt   uint64 // where in the output its HEADERS end

	err           error  // the stream was reset, or its connection broke
	gone          func() // told when that happens; the lock is held then
	queued        bool   // in output.blocked
	before, after *half
}

// bind makes it that of a stream of c that begins.
func (s *half) bind(c *core, x *ClientStream) {
	s.trailers.Reset()
	s.oneLife = oneLife{}
	s.c, s.x, s.declared = c, x, -1
	s.rcond.L, s.wcond.L = &c.mu, &c.mu
}

// open puts the stream into the table.
func (s *half) open(id uint32) {
	c := s.c
	s.id, s.listed = id, true
	s.sendWin, s.recvWin = c.peer.window, int64(c.o.InitialStreamWindow)
	c.table.put(s)
	c.st.StreamsActive.Inc()
}

// count counts the stream against the limit of concurrent ones, uncount ends that.
func (s *half) count() {
	s.counted = true
	s.c.active++
}

func (s *half) uncount() {
	if !s.counted {
		return
	}
	c := s.c
	s.counted = false
	if c.active--; c.active == 0 {
		c.side.unused()
	}
	c.note = c.note || c.client || c.goneAway
}

// wake wakes whoever waits for anything of the stream.
func (s *half) wake() {
	s.rcond.Broadcast()
	s.wcond.Broadcast()
}

// begun tells whether a body may come: on a client's connection, whether a final
// head has.
func (s *half) begun() bool { return s.x == nil || s.x.final }

// left tells whether the stream's head has left us.
func (s *half) left() bool { return s.headAt > 0 && s.c.out.sent >= s.headAt }

// end notes END_STREAM from the peer. The lock is held.
func (s *half) end() error {
	if s.declared >= 0 && s.declared != s.got {
		return &streamError{s.id, http2.ErrCodeProtocol, errLength}
	}
	s.ended = true
	s.rcond.Broadcast()
	s.c.over(s)
	return nil
}

// wait waits on the reading side until woken or the deadline. The lock is held,
// and let go meanwhile; while wake is called, too.
func (s *half) wait() error {
	c := s.c
	if s.late {
		return os.ErrDeadlineExceeded
	}
	if s.waker != nil && c.o.Tick > 0 && c.timer.tick.IsZero() {
		c.timer.tick = time.Now().Add(c.o.Tick)
		c.timer.by(c.timer.tick)
	}
	c.timer.by(s.rdl)
	if c.out.pending() && !c.out.flushing && c.out.err == nil {
		c.out.flush(s) // what is waited for may depend on it
		return nil     // the caller looks again
	}
	if c.note {
		c.unlock()
		c.mu.Lock()
		return nil
	}
	if !s.woken {
		s.rwaits++
		s.rcond.Wait()
		s.rwaits--
	}
	if s.woken {
		s.woken = false
		if w := s.waker; w != nil {
			c.unlock()
			err := w()
			c.mu.Lock()
			return err
		}
	}
	return nil
}

// readBody is ReadBody of both sides; trailers go into t.
func (s *half) readBody(t *header.Headers) (p []byte, end bool, err error) {
	c := s.c
	c.mu.Lock()
	defer c.unlock()
	s.settle()
	for {
		switch {
		case s.recv.n > 0 && (s.ended || s.err == nil):
			p = s.recv.front()
			s.given = len(p)
			return p, s.ended && len(p) == s.recv.n && s.finish(t), nil
		case s.ended:
			return nil, s.finish(t), nil
		case s.err != nil:
			return nil, false, s.err
		case s.halted:
			return nil, false, errInterrupted
		}
		if err := s.wait(); err != nil {
			return nil, false, err
		}
	}
}

// finish gives the trailers of a body that is over.
func (s *half) finish(t *header.Headers) bool {
	if s.trailed && t != nil {
		s.trailed = false
		*t, s.trailers = s.trailers, *t
	}
	return true
}

// settle drops what the consumer has had and opens the windows for it.
func (s *half) settle() {
	n := s.given
	if n == 0 {
		return
	}
	s.given = 0
	s.recv.drop(n)
	s.c.credit(s, n)
}

// setReadDeadline bounds reads, also one that waits.
func (s *half) setReadDeadline(t time.Time) {
	s.c.mu.Lock()
	s.rdl, s.late = t, false
	if s.rwaits > 0 {
		s.rcond.Broadcast() // it waits again, for that
	}
	s.c.mu.Unlock()
}

// canWrite tells why nothing can be written, if so.
func (s *half) canWrite() error {
	switch {
	case s.err != nil:
		return s.err
	case s.werr != nil:
		return s.werr
	case s.c.out.err != nil:
		return s.c.lost(s)
	case s.stopped:
		return errStopped
	case s.sentEnd:
		return errFinished
	}
	return nil
}

// writeBody is WriteBody of both sides. It waits for room and windows.
func (s *half) writeBody(p []byte, end bool) (done int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.unlock()
	if s.bodyless && s.sentEnd && s.err == nil {
		return len(p), nil // HEAD, 204, 304: there is no body to send
	}
	for {
		if err := s.canWrite(); err != nil {
			return done, err
		}
		if len(p) == 0 {
			if end {
				c.out.data(s.id, nil, true)
				s.finishWriting()
			}
			return done, nil
		}
		if c.out.full() && !c.out.flushing {
			c.out.flush(s)
			continue
		}
		n := int(min(int64(len(p)), s.sendWin, c.sendWin, int64(c.peer.frame), frameSize))
		if n <= 0 || c.out.full() {
			if err := s.waitToWrite(len(p)); err != nil {
				return done, err
			}
			continue
		}
		s.wdl = time.Time{}
		s.sendWin -= int64(n)
		c.sendWin -= int64(n)
		last := end && n == len(p)
		c.out.data(s.id, p[:n], last)
		p, done = p[n:], done+n
		if last {
			s.finishWriting()
		}
		c.out.wakeBlocked(1)
		if len(p) == 0 {
			if len(c.out.next.b) > frameSize {
				c.out.flush(s)
			}
			return done, nil
		}
	}
}

// writeTrailers ends the body with trailers.
func (s *half) writeTrailers(h *header.Headers) error {
	c := s.c
	c.mu.Lock()
	defer c.unlock()
	if s.bodyless && s.sentEnd && s.err == nil {
		return nil
	}
	if err := s.canWrite(); err != nil {
		return err
	}
	if h == nil || h.Len() == 0 {
		c.out.data(s.id, nil, true)
	} else {
		c.out.headers(s.id, h, fields.Trailers, true)
	}
	s.finishWriting()
	return nil
}

// waitToWrite waits for room in the output or for the windows to open.
func (s *half) waitToWrite(n int) error {
	c := s.c
	if c.out.pending() && !c.out.flushing && c.out.err == nil {
		c.out.flush(s) // the peer may wait for what we have before it opens a window
		return nil
	}
	if c.note {
		c.unlock()
		c.mu.Lock()
		return nil
	}
	shut := s.sendWin <= 0 || c.sendWin <= 0
	if shut && c.o.WriteIdle > 0 && s.wdl.IsZero() {
		s.wdl = time.Now().Add(c.o.WriteIdle)
	}
	if passed(s.wuntil) {
		return os.ErrDeadlineExceeded
	}
	if passed(s.wdl) {
		c.st.TxFlushTimeout.Inc()
		c.rst(s, http2.ErrCodeCancel, os.ErrDeadlineExceeded)
		c.out.kick()
		return os.ErrDeadlineExceeded
	}
	c.timer.by(sooner(s.wdl, s.wuntil))
	if s.sendWin > 0 {
		c.out.blocked.push(s)
	}
	c.st.PendingSendBytes.Add(int64(n))
	s.wwaits++
	s.wcond.Wait()
	s.wwaits--
	c.st.PendingSendBytes.Add(-int64(n))
	c.out.blocked.remove(s)
	if c.out.blocked.first != nil {
		c.out.wakeBlocked(1) // whether or not this stream can still use the room
	}
	return nil
}

// finishWriting notes that END_STREAM was put into the output.
func (s *half) finishWriting() {
	s.sentEnd = true
	s.c.over(s)
}

// flushOut sends what is in the connection's output.
func (s *half) flushOut() error {
	c := s.c
	c.mu.Lock()
	defer c.unlock()
	c.out.flush(s)
	if s.err != nil && !s.sentEnd {
		return s.err
	}
	return s.werr
}

// stopWriting makes writes fail, also one that waits.
func (s *half) stopWriting() {
	s.c.mu.Lock()
	s.stopped = true
	s.c.out.leaveFor(s)
	s.wcond.Broadcast()
	s.c.mu.Unlock()
}

// hurry makes a reader that waits look around; it may be writing for others.
func (s *half) hurry() {
	s.c.out.leaveFor(s)
	s.rcond.Broadcast()
}

func remoteReset(code http2.ErrCode) *codec.ResetError {
	e := &codec.ResetError{Code: uint32(code), Remote: true, Reason: reasonRemote}
	switch code {
	case http2.ErrCodeRefusedStream:
		e.Unprocessed, e.Reason = true, reasonRemoteRefused
	case http2.ErrCodeConnect:
		e.Reason = reasonConnectError
	}
	return e
}
