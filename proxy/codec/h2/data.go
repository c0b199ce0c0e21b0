package h2

import (
	"golang.org/x/net/http2"
)

// dataFrame takes the header of a DATA frame; the content follows as it comes.
func (c *core) dataFrame(fh http2.FrameHeader) error {
	r, id, n := &c.rd, fh.StreamID, int(fh.Length)
	if id == 0 {
		return connError(http2.ErrCodeProtocol, "DATA on stream 0")
	}
	end := fh.Flags.Has(http2.FlagDataEndStream)
	pad, content := 0, n
	if fh.Flags.Has(http2.FlagDataPadded) {
		if n < 1 {
			return connError(http2.ErrCodeFrameSize, "DATA without its padding's length")
		}
		pad = int(r.in.Bytes()[0])
		r.in.Consume(1)
		if content--; pad > content {
			return connError(http2.ErrCodeProtocol, "padding longer than its frame (RFC 9113 §6.1)")
		}
		content -= pad
	}
	if end || content > 0 {
		c.guard.full()
	} else if err := c.guard.empty(c, 0); err != nil {
		return err
	}
	r.data, r.pad, r.dataID, r.credited = content, pad, id, true
	c.mu.Lock()
	defer c.unlock()
	if int64(n) > c.recvWin {
		return connError(http2.ErrCodeFlowControl, "connection window exceeded")
	}
	c.recvWin -= int64(n)
	s := c.table.get(id)
	switch {
	case s == nil:
		return c.strayData(id, n, end)
	case s.ended:
		c.credit(nil, n)
		return &streamError{id, http2.ErrCodeStreamClosed, errStreamClosed}
	case int64(n) > s.recvWin:
		c.credit(nil, n)
		return &streamError{id, http2.ErrCodeFlowControl, errWindow}
	}
	s.recvWin -= int64(n)
	s.got += int64(content)
	if s.declared >= 0 && s.got > s.declared {
		c.credit(nil, n)
		return &streamError{id, http2.ErrCodeProtocol, errLength}
	}
	if c.client && !s.begun() {
		c.credit(nil, n)
		return &streamError{id, http2.ErrCodeProtocol, errNoHead}
	}
	if n > content {
		c.credit(s, n-content) // padding is consumed at once
	}
	r.dataEnd, r.credited = end, false
	return nil
}

// strayData takes DATA of a stream that is not open.
func (c *core) strayData(id uint32, n int, end bool) error {
	c.credit(nil, n)
	if c.lateData(id, n, end) {
		return nil
	}
	if c.idle(id) {
		return connError(http2.ErrCodeProtocol, "DATA on an idle stream")
	}
	switch c.closed.how(id) {
	case buriedInPeace:
		return connError(http2.ErrCodeStreamClosed, "DATA on a closed stream")
	case buriedByPeer:
		return &streamError{id, http2.ErrCodeStreamClosed, errStreamClosed}
	}
	return nil
}

// dataContent passes on what has come of a DATA frame's content; more says that
// the frame is over.
func (c *core) dataContent() (more bool, err error) {
	r := &c.rd
	b := r.in.Bytes()
	n := min(len(b), r.data)
	if n == 0 && r.data > 0 {
		return false, nil
	}
	c.mu.Lock()
	s := c.table.get(r.dataID)
	switch {
	case n == 0, r.credited:
	case s == nil: // it was reset since the frame began
		c.credit(nil, n)
	default:
		s.recv.add(b[:n])
		if s.rwaits > 0 {
			s.rcond.Broadcast()
		}
	}
	r.in.Consume(n)
	if r.data -= n; r.data == 0 && r.dataEnd {
		r.dataEnd = false
		if s != nil {
			err = s.end()
		}
	}
	c.unlock()
	if err != nil {
		return true, c.streamFault(err)
	}
	if r.data > 0 {
		return false, nil
	}
	skip := min(r.in.Len(), r.pad)
	r.in.Consume(skip)
	r.pad -= skip
	return r.pad == 0, nil
}

// credit opens the peer's windows for n bytes that were consumed, of a stream or,
// when that is nil, of none. Updates go out for half a window at a time. The lock
// is held.
func (c *core) credit(s *half, n int) {
	if c.err != nil {
		return
	}
	c.unsent += int64(n)
	sent := false
	if c.unsent >= int64(c.o.InitialConnWindow)/2 {
		c.out.windowUpdate(0, uint32(c.unsent))
		c.recvWin += c.unsent
		c.unsent = 0
		sent = true
	}
	if s != nil && s.listed && !s.ended {
		s.unsent += int64(n)
		if s.unsent >= int64(c.o.InitialStreamWindow)/2 {
			c.out.windowUpdate(s.id, uint32(s.unsent))
			s.recvWin += s.unsent
			s.unsent = 0
			sent = true
		}
	}
	if sent {
		c.out.kick()
	}
}

// discard credits what a stream received and nobody will read, but for the piece
// that its consumer has. The lock is held.
func (c *core) discard(s *half) {
	if !s.dropped {
		s.dropped = true
		c.credit(nil, s.recv.n-s.given)
	}
}

// drain gives back what a stream still holds when its user leaves it.
func (c *core) drain(s *half) {
	if s.dropped {
		c.credit(nil, s.given)
	} else {
		c.credit(nil, s.recv.n)
	}
	s.given = 0
	s.recv.clear()
}
